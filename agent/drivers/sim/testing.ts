/** Simulated hosts with a shared pool and a network, ready for VMs. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '@kvasir/api/clock.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { flatSlice } from '../flat-slice.ts';
import type { HostDrivers } from '../drivers.ts';
import type { DomainDisk, DomainNic, DomainSpec } from '../hypervisor.ts';
import { simDrivers } from './drivers.ts';
import type { SimHost } from './host.ts';
import { SimWorld } from './world.ts';

const mib = 1024 * 1024;
const call = { signal: new AbortController().signal, progress: () => undefined };

export interface SimBed {
  readonly world: SimWorld;
  readonly hosts: readonly SimHost[];
  readonly drivers: readonly HostDrivers[];
  readonly poolId: string;
  readonly networkId: string;
}

export async function simBed(
  hostCount: number,
  options: { readonly clock?: Clock; readonly imageLocks?: boolean; readonly memoryMib?: number } = {},
): Promise<SimBed> {
  let seed = 1;
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const clock = options.clock ?? systemClock;
  const world = new SimWorld({ clock, random, imageLocks: options.imageLocks ?? false });
  const poolId = randomUUID();
  const networkId = randomUUID();
  const hosts = Array.from({ length: hostCount }, (_, index) =>
    world.addHost({ hostId: `h${index + 1}`, memoryMib: options.memoryMib ?? 4096 }),
  );
  const drivers = hosts.map(simDrivers);
  const pool = { poolId, name: 'shared', kind: 'directory' as const, path: '/shared', shared: true };
  for (const [index, { storage, network }] of drivers.entries()) {
    await storage.applyPools([{ ...pool, initialize: index === 0 }]);
    await network.apply(1, flatSlice(networkId));
  }
  return { world, hosts, drivers, poolId, networkId };
}

/** A VM with one disk and one NIC, its volume and port made by these drivers. */
export async function simDomain(bed: SimBed, drivers: HostDrivers, name = 'web'): Promise<DomainSpec> {
  const vmId = randomUUID();
  const disk = await simDisk(bed, drivers, 'vda');
  const nic = await simNic(bed, drivers, vmId);
  return {
    vm: {
      vmId,
      name,
      projectId: randomUUID(),
      cpus: 1,
      maxCpus: 2,
      memoryMib: 128,
      maxMemoryMib: 256,
      cpuModel: 'host',
      firmware: 'bios',
      bootOrder: ['disk'],
      disks: [disk.spec],
      nics: [nic.spec],
      cloudInit: null,
    },
    disks: [disk],
    nics: [nic],
    seed: null,
  };
}

export async function simDisk({ poolId }: SimBed, { storage }: HostDrivers, device: string): Promise<DomainDisk> {
  const volume = { poolId, volumeId: randomUUID(), format: 'qcow2' as const };
  await storage.createVolume({ ...volume, sizeBytes: 64 * mib, from: null }, call);
  return { spec: { ...volume, device, bus: 'virtio', readOnly: false }, source: await storage.locate(volume) };
}

export async function simNic({ networkId }: SimBed, { network }: HostDrivers, vmId: string): Promise<DomainNic> {
  const spec = {
    nicId: randomUUID(),
    networkId,
    macAddress: '52:54:00:00:00:01',
    model: 'virtio' as const,
    mtu: 1450,
  };
  return { spec, ...(await network.attachPort(vmId, spec)) };
}
