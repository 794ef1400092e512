/** The keepers of two hosts as processes of this machine hold what simulated ones are held to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeeperDriver } from '@kvasir/agent/drivers/keeper/driver.ts';
import { livenessContract, type LivenessHost } from '@kvasir/agent/drivers/liveness.contract.ts';

livenessContract('keepers as processes', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kvasir-leases-'));
  const [poolId, otherPoolId] = [randomUUID(), randomUUID()];
  const storages = [
    { poolId, name: 'shared' },
    { poolId: otherPoolId, name: 'other' },
  ];
  for (const storage of storages) {
    mkdirSync(join(root, storage.name));
    writeFileSync(join(root, storage.name, '.kvasir-pool'), storage.poolId);
  }
  // By this name the kernel and the keeper know it.
  const qemu = join(root, 'qemu-system-x86_64');
  symlinkSync('/bin/bash', qemu);
  const vms: ChildProcess[] = [];
  const host = (name: string): LivenessHost => {
    const hostId = randomUUID();
    const directory = join(root, name);
    const specsDirectory = join(directory, 'vms');
    const runDirectory = join(directory, 'run');
    mkdirSync(specsDirectory, { recursive: true });
    // Each host has its own way to the storage, as a mount would be, so that one alone can be cut.
    const places = storages.map((storage) => ({ poolId: storage.poolId, path: join(directory, storage.name) }));
    for (const { name } of storages) symlinkSync(join(root, name), join(directory, name));
    const way = join(directory, 'shared');
    const make = () =>
      new KeeperDriver({
        hostId,
        address: '127.0.0.1',
        directory,
        specsDirectory,
        runDirectory,
        watchdogDevice: null,
        watchdogTimeoutMs: null,
        uplinks: [],
        hypervisorSocket: join(directory, 'libvirt.sock'),
        log: () => {},
      });
    let driver = make();
    const running = new Map<string, ChildProcess>();
    return {
      hostId,
      places,
      get driver() {
        return driver;
      },
      startVm: async (pool) => {
        const vmId = randomUUID();
        const spec = { vmId, disks: [{ poolId: pool }] };
        writeFileSync(join(specsDirectory, `${vmId}.json`), JSON.stringify(spec));
        const child = spawn(qemu, ['-c', 'read -r line', '-uuid', vmId], { stdio: ['pipe', 'ignore', 'ignore'] });
        running.set(vmId, child);
        vms.push(child);
        await new Promise((resolve) => child.once('spawn', resolve));
        return vmId;
      },
      isRunning: (vmId) => running.get(vmId)?.exitCode === null && running.get(vmId)?.signalCode === null,
      cutStorage: async () => renameSync(way, `${way}.away`),
      healStorage: async () => renameSync(`${way}.away`, way),
      killKeeper: async () => {
        for (const pid of await keepersOf(hostId)) process.kill(pid, 'SIGKILL');
      },
      restartAgent: async () => {
        await driver.close();
        driver = make();
        await driver.open();
      },
    };
  };
  const hosts = [host('h1'), host('h2')] as const;
  return {
    hosts: [hosts[0], hosts[1]],
    poolId,
    otherPoolId,
    terms: { renewEveryMs: 250, killAfterMs: 6000, leaseMs: 10_000 },
    close: async () => {
      for (const { driver } of hosts) await driver.close();
      for (const { hostId } of hosts) for (const pid of await keepersOf(hostId)) process.kill(pid, 'SIGKILL');
      for (const vm of vms) vm.kill('SIGKILL');
      rmSync(root, { recursive: true, force: true });
    },
  };

  /** Keepers that these tests started: each has its own file on its command line. */
  async function keepersOf(hostId: string): Promise<number[]> {
    const name = hosts.find((each) => each.hostId === hostId) === hosts[0] ? 'h1' : 'h2';
    const file = join(root, name, 'keeper.json');
    const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid) && pid > 0);
    return pids.filter((pid) => {
      const path = `/proc/${pid}/cmdline`;
      try {
        return existsSync(path) && readFileSync(path, 'utf8').split('\0').includes(file);
      } catch {
        return false;
      }
    });
  }
});
