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
import { KeeperDriver } from './keeper/driver.ts';
import { livenessContract, type LivenessHost } from './liveness.contract.ts';
import { simDrivers } from './sim/drivers.ts';
import type { SimHost } from './sim/host.ts';
import { simBed, simDomain } from './sim/testing.ts';

livenessContract('simulated hosts', async () => {
  const bed = await simBed(2);
  const other = { poolId: randomUUID(), name: 'other', kind: 'directory' as const, path: '/other', shared: true };
  const shared = { poolId: bed.poolId, name: 'shared', kind: 'directory' as const, path: '/shared', shared: true };
  const host = (sim: SimHost): LivenessHost => {
    let drivers = simDrivers(sim);
    return {
      hostId: sim.hostId,
      places: [shared, other],
      get driver() {
        return drivers.liveness;
      },
      startVm: async (poolId) => {
        await drivers.storage.applyPools([shared, other].map((pool) => ({ ...pool, initialize: true })));
        const spec = await simDomain({ ...bed, poolId }, drivers, `vm-${randomUUID().slice(0, 8)}`).catch(() => null);
        // While the storage is cut nothing can be made there; a start that hung in it is what has to be ended.
        const vmId = spec?.vm.vmId ?? randomUUID();
        if (spec === null) return vmId;
        await drivers.hypervisor.define(spec);
        await drivers.hypervisor.start(vmId, { paused: false });
        return vmId;
      },
      isRunning: (vmId) => sim.domains.get(vmId)?.isActive === true,
      cutStorage: async () => sim.cutStorage('/shared'),
      healStorage: async () => sim.healStorage('/shared'),
      killKeeper: async () => sim.keeper.kill(),
      restartAgent: async () => {
        await drivers.liveness.close();
        drivers = simDrivers(sim);
        await drivers.liveness.open();
      },
    };
  };
  const [first, second] = bed.hosts as [SimHost, SimHost];
  return {
    hosts: [host(first), host(second)],
    poolId: bed.poolId,
    otherPoolId: other.poolId,
    close: async () => {
      for (const { keeper } of bed.hosts) keeper.powerLost();
    },
  };
});

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
        const child = spawn('/bin/bash', ['-c', 'read -r line', '-uuid', vmId], {
          argv0: 'qemu-system-x86_64',
          stdio: ['pipe', 'ignore', 'ignore'],
        });
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
