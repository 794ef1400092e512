/**
 * The hypervisor contract over libvirt. Runs inside the lab host h1, for consoles are on sockets of that host; the second
 * host's libvirt is spoken to over the management network, where the lab's hosts listen. What it is told comes by the
 * environment: the image, and NICs whose taps were made on the second host.
 */
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContractHost } from '@kvasir/agent/drivers/hypervisor-bed.contract.ts';
import { hypervisorContract } from '@kvasir/agent/drivers/hypervisor.contract.ts';
import type { DomainDisk, DomainNic } from '@kvasir/agent/drivers/hypervisor.ts';
import { flatSlice } from '@kvasir/agent/drivers/flat-slice.ts';
import { LibvirtDriver } from '@kvasir/agent/drivers/libvirt/driver.ts';
import { OvsNetworkDriver } from '@kvasir/agent/drivers/ovs/driver.ts';
import { DirectoryStorageDriver } from '@kvasir/agent/drivers/volumes/driver.ts';

const call = { signal: new AbortController().signal, progress: () => undefined };
const networkId = randomUUID();
const pool = {
  poolId: randomUUID(),
  name: 'contract',
  kind: 'directory' as const,
  path: '/srv/kvasir/shared/contract',
};
const image = { imageId: randomUUID(), poolId: pool.poolId };

hypervisorContract('libvirt on lab hosts', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'contract-'));
  const storage = new DirectoryStorageDriver({
    hostId: 'h1',
    seedDirectory: join(directory, 'seeds'),
    stateDirectory: join(directory, 'state'),
  });
  await mkdir(join(pool.path, 'import'), { recursive: true });
  await mkdir(join(directory, 'state'), { recursive: true });
  await storage.applyPools([{ ...pool, shared: true, initialize: true }]);
  await copyFile(asked('KVASIR_CONTRACT_IMAGE'), join(pool.path, 'import', 'tiny.qcow2'));
  const source = { file: 'tiny.qcow2' };
  await storage.importImage({ ...image, source, maxVirtualSizeBytes: null, expectedSha256: null }, call);

  const network = new OvsNetworkDriver({ datapathType: 'netdev' });
  await network.apply(1, flatSlice(networkId));

  const secondSocket = join(directory, 'second.sock');
  const forwarder = createServer((near) => {
    const far = connect(16_509, '10.77.0.2');
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => forwarder.listen(secondSocket, resolve));

  const first = await openHost('/run/libvirt/libvirt-sock', '10.77.0.1');
  const second = await openHost(secondSocket, '10.77.0.2');
  const nics = asked('KVASIR_CONTRACT_NICS').split(',');

  async function makeDisk(device: string, fromImage: boolean): Promise<DomainDisk> {
    const volume = { poolId: pool.poolId, volumeId: randomUUID(), format: 'qcow2' as const };
    const from = fromImage ? { imageId: image.imageId, imageFormat: 'qcow2' as const, mode: 'linked' as const } : null;
    await storage.createVolume({ ...volume, sizeBytes: 64 * 2 ** 20, from }, call);
    return { spec: { ...volume, device, bus: 'virtio', readOnly: false }, source: await storage.locate(volume) };
  }

  async function makeNic(vmId: string): Promise<DomainNic> {
    const nicId = nics.shift() ?? randomUUID();
    const macAddress = `52:54:00:dd:00:0${nics.length}`;
    const spec = { nicId, networkId, macAddress, model: 'virtio' as const, mtu: 1450 };
    return { spec, ...(await network.attachPort(vmId, spec)) };
  }

  return {
    first,
    second,
    domain: async () => {
      const vmId = randomUUID();
      const disk = await makeDisk('vda', true);
      const nic = await makeNic(vmId);
      const sizes = { cpus: 1, maxCpus: 2, memoryMib: 128, maxMemoryMib: 256 };
      const kind = { cpuModel: 'host', firmware: 'bios' as const, bootOrder: ['disk' as const], cloudInit: null };
      const devices = { disks: [disk.spec], nics: [nic.spec] };
      const vm = { vmId, name: 'contract', projectId: randomUUID(), ...sizes, ...kind, ...devices };
      return { vm, disks: [disk], nics: [nic], seed: null };
    },
    disk: () => makeDisk('vdb', false),
    nic: makeNic,
    bootTimeoutMs: 60_000,
    close: async () => {
      for (const hypervisor of opened) await hypervisor.close();
      await network.close();
      forwarder.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});

/** All that were opened, also by restarts. */
const opened: LibvirtDriver[] = [];

async function openHost(socketPath: string, address: string): Promise<ContractHost> {
  const options = { socketPath, address, migrationTransport: 'tcp', virtualization: 'emulation' } as const;
  const hypervisor = new LibvirtDriver(options);
  opened.push(hypervisor);
  await hypervisor.open();
  return {
    hypervisor,
    guest: hypervisor.guest,
    restart: async () => {
      await hypervisor.close();
      return openHost(socketPath, address);
    },
    // The taps of the second host were made before.
    prepare: () => Promise.resolve(),
  };
}

function asked(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}
