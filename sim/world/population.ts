/** What a world starts with: rows of hosts, one shared pool and VMs, and the same in the simulated hosts, as if all had run for long. */
import type { DomainSpec } from '@kvasir/agent/drivers/hypervisor.ts';
import { SimDomain } from '@kvasir/agent/drivers/sim/domain.ts';
import type { HaPolicy, VmHa } from '@kvasir/api/resources/ha-policy.ts';
import type { PowerSavingPolicy } from '@kvasir/api/resources/power-saving.ts';
import { setClusterPowerSaving } from '@kvasir/manager/store/cluster-power-saving.ts';
import { clusters } from '@kvasir/manager/store/clusters.ts';
import type { Store, Tx } from '@kvasir/manager/store/database.ts';
import { fenceDevices } from '@kvasir/manager/store/fence-devices.ts';
import { setClusterHa, setVmHa } from '@kvasir/manager/store/ha-settings.ts';
import { hosts } from '@kvasir/manager/store/hosts.ts';
import { clusterLeases, defaultLeases } from '@kvasir/manager/store/leases.ts';
import { networks, plainNetwork } from '@kvasir/manager/store/networks.ts';
import { pools } from '@kvasir/manager/store/pools.ts';
import { projects } from '@kvasir/manager/store/projects.ts';
import { routers } from '@kvasir/manager/store/routers.ts';
import { firstRevision } from '@kvasir/manager/store/versioned.ts';
import { type VmRow, vmDisks, vms } from '@kvasir/manager/store/vms.ts';
import { volumes } from '@kvasir/manager/store/volumes.ts';
import { loadVm, vmSpec } from '@kvasir/manager/tasks/vm-spec.ts';
import type { Bmcs } from './bmc.ts';
import type { Chance } from './chance.ts';
import type { HostMachine } from './host-machine.ts';

export interface PlannedVm {
  readonly name: string;
  readonly host: string;
  readonly memoryMib: number;
  readonly ha?: Partial<VmHa>;
}

export interface Population {
  readonly vms: readonly PlannedVm[];
  readonly policy: Partial<HaPolicy>;
  /** How the cluster saves power; left out: not at all. */
  readonly powerSaving?: Partial<PowerSavingPolicy>;
  readonly leases?: { readonly leaseMs?: number; readonly killAfterMs?: number; readonly renewEveryMs?: number };
  /** Routers that lead out by some host; left out: none. */
  readonly routers?: number;
  /** Whether hosts have power devices. */
  readonly devices: boolean;
  /** Hosts whose devices control another machine: that host, or null for one that is off and no host. */
  readonly wiring?: Readonly<Record<string, string | null>>;
}

export const sharedPath = '/shared';

export interface Populated {
  readonly clusterId: string;
  readonly projectId: string;
  readonly poolId: string;
  readonly vmIds: ReadonlyMap<string, string>;
}

export async function populate(
  store: Store,
  machines: ReadonlyMap<string, HostMachine>,
  bmcs: Bmcs,
  chance: Chance,
  nowMs: number,
  population: Population,
): Promise<Populated> {
  const fresh = () => firstRevision(chance.uuid(), nowMs);
  return await store.transaction(async (tx) => {
    const clusterId = (await clusters.find(tx, {}))!.id;
    const projectId = (await projects.find(tx, {}))!.id;
    await clusters.set(tx, { id: clusterId }, { cpuOvercommit: 16 });
    await setClusterHa(tx, clusterId, { policy: population.policy });
    if (population.powerSaving !== undefined)
      await setClusterPowerSaving(tx, clusterId, { policy: population.powerSaving });
    const probeKey = Buffer.alloc(32).toString('base64');
    await clusterLeases.insert(tx, { clusterId, ...defaultLeases, ...population.leases, probeKey });
    const pool = await pools.insert(tx, {
      ...fresh(),
      name: 'shared',
      description: '',
      clusterId,
      kind: 'directory',
      path: sharedPath,
      shared: true,
    });
    for (const machine of machines.values()) await addHost(tx, machine, clusterId, fresh());
    if (population.devices) {
      for (const machine of machines.values()) await addDevice(tx, machine, bmcs, fresh(), nowMs);
      for (const [name, other] of Object.entries(population.wiring ?? {})) {
        bmcs.rewire(machines.get(name)!.hostId, other === null ? null : machines.get(other)!.hostId);
      }
    }
    await addRouters(tx, projectId, population.routers ?? 0, fresh);
    const vmIds = new Map<string, string>();
    for (const planned of population.vms) {
      const machine = machines.get(planned.host)!;
      const ids = { clusterId, projectId, poolId: pool.id };
      vmIds.set(planned.name, await addVm(tx, planned, machine, ids, { fresh, nowMs }));
    }
    return { clusterId, projectId, poolId: pool.id, vmIds };
  });
}

async function addRouters(
  tx: Tx,
  projectId: string,
  count: number,
  fresh: () => ReturnType<typeof firstRevision>,
): Promise<void> {
  if (count === 0) return;
  const told = { description: '', labels: {}, projectId };
  const range = { cidr: '203.0.113.0/24', allocationFrom: '203.0.113.2', allocationTo: '203.0.113.254' };
  const subnet = { ...range, gateway: '203.0.113.1', dhcp: false, dnsServers: [], leaseSeconds: 3600 };
  const network = await networks.insert(tx, {
    ...{ ...fresh(), ...told, ...plainNetwork, name: 'outside', kind: 'flat', mtu: 1500 },
    ...{ external: true, shared: true, subnets: [subnet] },
  });
  for (let number = 1; number <= count; number += 1) {
    const macAddress = `52:54:00:ee:00:0${number}`;
    await routers.insert(tx, {
      ...{ ...fresh(), ...told, name: `r${number}`, macAddress, externalMacAddress: `52:54:00:ee:01:0${number}` },
      ...{ externalNetworkId: network.id, externalAddress: `203.0.113.${10 + number}`, snat: true },
      ...{ gatewayHostId: null, gatewayEnding: false },
    });
  }
}

async function addHost(
  tx: Tx,
  { hostId, name, sim }: HostMachine,
  clusterId: string,
  revision: ReturnType<typeof firstRevision>,
): Promise<void> {
  await hosts.insert(tx, {
    ...revision,
    id: hostId,
    name,
    description: '',
    labels: {},
    clusterId,
    state: 'up',
    schedulable: true,
    address: name,
    virtualization: 'simulated',
    cpus: sim.cpus,
    cpuModel: sim.cpuModel,
    memoryMib: sim.memoryMib,
    versions: {},
    inventory: null,
    certificateFingerprint: null,
    lastSeenAt: null,
  });
}

async function addDevice(
  tx: Tx,
  { hostId, name }: HostMachine,
  bmcs: Bmcs,
  revision: ReturnType<typeof firstRevision>,
  nowMs: number,
): Promise<void> {
  const place = { address: name, port: 623, userName: 'admin', sealedPassword: '', position: 0 };
  const more = { certificateFingerprint: null, systemPath: null };
  const trust = { checkedAt: nowMs, checkError: null, seenOnAt: nowMs, mistrustedBecause: null };
  const row = { ...revision, name: `bmc-${name}`, hostId, kind: 'ipmi', ...place, ...more, ...trust } as const;
  await fenceDevices.insert(tx, row);
  bmcs.add({ deviceId: revision.id, hostId, wiredTo: hostId, mode: 'works' });
}

interface Ids {
  readonly clusterId: string;
  readonly projectId: string;
  readonly poolId: string;
}

async function addVm(
  tx: Tx,
  planned: PlannedVm,
  machine: HostMachine,
  { clusterId, projectId, poolId }: Ids,
  { fresh, nowMs }: { readonly fresh: () => ReturnType<typeof firstRevision>; readonly nowMs: number },
): Promise<string> {
  const told = { description: '', labels: {}, projectId, trashedAt: null };
  const disk = { state: 'ready', format: 'qcow2', sizeMib: 1024, imageId: null, linked: false } as const;
  const volume = await volumes.insert(tx, {
    ...fresh(),
    ...told,
    ...disk,
    name: `${planned.name}-disk`,
    poolId,
    hostId: null,
  });
  const { memoryMib } = planned;
  const row: VmRow = {
    ...fresh(),
    ...told,
    name: planned.name,
    clusterId,
    hostId: machine.hostId,
    reservedHostId: null,
    state: 'running',
    stateReason: null,
    desiredState: 'running',
    ...{ cpus: 1, maxCpus: 1, memoryMib, maxMemoryMib: memoryMib },
    ...{ cpuModel: 'host', firmware: 'bios', bootOrder: ['disk'], affinity: [], antiAffinity: [] },
    ...{ cloudInit: null, guest: null, drift: [], startedAt: nowMs, purgeAt: null },
  };
  await vms.insert(tx, row);
  await vmDisks.insert(tx, {
    volumeId: volume.id,
    vmId: row.id,
    device: 'vda',
    bus: 'virtio',
    position: 0,
    readOnly: false,
  });
  if (planned.ha !== undefined) await setVmHa(tx, row.id, planned.ha);
  await putOnHost(tx, machine, row.id, poolId);
  return row.id;
}

/** The domain runs there, and its disk lies in the pool. */
async function putOnHost(tx: Tx, { sim, specs }: HostMachine, vmId: string, poolId: string): Promise<void> {
  const spec = vmSpec(await loadVm(tx, vmId));
  const directory = sim.world.sharedDirectory(sharedPath);
  directory.poolId = poolId;
  const disks = spec.disks.map((disk) => {
    const name = `${disk.volumeId}.${disk.format}`;
    const sizeBytes = 2 ** 30;
    directory.addVolume(name, { format: disk.format, sizeBytes, backingImageId: null, allocatedBytes: 200_000 });
    return {
      spec: disk,
      source: { kind: 'file', path: `${sharedPath}/volumes/${name}`, format: disk.format },
    } as const;
  });
  const domainSpec: DomainSpec = { vm: spec, disks, nics: [], seed: null };
  const domain = new SimDomain(vmId, spec.name, domainSpec);
  sim.domains.set(vmId, domain);
  sim.change(domain, 'running', 'booted');
  await specs.set(spec);
}
