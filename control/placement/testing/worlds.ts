/** Worlds for the placement tests: short builders with defaults, and generators of small, crowded clusters. */
import fc from 'fast-check';
import type { CommittedVm, PlacementHost, PlacementRequest, PlacementWorld } from '../world.ts';

export const cluster = {
  placementPolicy: 'spread',
  cpuOvercommit: 4,
  memoryOvercommit: 1,
  memoryReservedMib: 0,
} as const;

export function host(name: string, fields: Partial<PlacementHost> = {}): PlacementHost {
  return {
    id: `id-${name}`,
    name,
    state: 'up',
    schedulable: true,
    cpus: 4,
    memoryMib: 1024,
    cpuModels: ['qemu64'],
    reachablePoolIds: ['pool'],
    networkIds: ['net'],
    vms: [],
    ...fields,
  };
}

export function vm(id: string, fields: Partial<CommittedVm> = {}): CommittedVm {
  return { id, projectId: 'project', cpus: 1, memoryMib: 128, affinity: [], antiAffinity: [], ...fields };
}

export function request(fields: Partial<PlacementRequest> = {}): PlacementRequest {
  return {
    vmId: 'new',
    cpus: 1,
    memoryMib: 128,
    cpuModel: 'maximum',
    poolIds: ['pool'],
    volumeHostIds: [],
    networkIds: ['net'],
    affinity: [],
    antiAffinity: [],
    projectId: 'project',
    ...fields,
  };
}

/** The world after the request's VM was put on that host. */
export function commit(world: PlacementWorld, hostId: string, asked: PlacementRequest): PlacementWorld {
  const { vmId, projectId, cpus, memoryMib, affinity, antiAffinity } = asked;
  const placed = { id: vmId, projectId, cpus, memoryMib, affinity, antiAffinity };
  const hosts = world.hosts.map((each) => (each.id === hostId ? { ...each, vms: [...each.vms, placed] } : each));
  return { ...world, hosts };
}

// Few names and small sizes, so that things collide and hosts are full.
const subset = (...names: string[]): fc.Arbitrary<string[]> => fc.subarray(names);
const groups = fc.oneof(
  { weight: 3, arbitrary: fc.constant<string[]>([]) },
  { weight: 1, arbitrary: subset('a', 'b') },
);
const mostly = <T>(usual: T, ...rare: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...rare) });
const projectId = mostly('p1', 'p2');
const hostIds = ['host-0', 'host-1', 'host-2', 'host-3'];

const anyHost = fc.record({
  state: mostly<PlacementHost['state']>('up', 'down', 'joining'),
  schedulable: mostly(true, false),
  cpus: fc.integer({ min: 1, max: 4 }),
  memoryMib: fc.integer({ min: 0, max: 8 }).map((n) => n * 128),
  cpuModels: subset('qemu64', 'EPYC'),
  reachablePoolIds: mostly(['pool', 'other'], ['pool'], []),
  networkIds: mostly(['net', 'far'], ['net'], []),
  vms: fc.array(
    fc.record({
      projectId,
      cpus: fc.integer({ min: 1, max: 4 }),
      memoryMib: fc.constantFrom(64, 128, 256),
      affinity: groups,
      antiAffinity: groups,
    }),
    { maxLength: 4 },
  ),
});

export const anyWorld: fc.Arbitrary<PlacementWorld> = fc.record({
  cluster: fc.record({
    placementPolicy: fc.constantFrom('spread', 'pack'),
    cpuOvercommit: fc.constantFrom(1, 1.5, 4),
    memoryOvercommit: mostly(1, 1.5),
    memoryReservedMib: fc.constantFrom(0, 100, 128),
  }),
  hosts: fc.array(anyHost, { maxLength: 4 }).map((hosts) =>
    hosts.map((each, i) => ({
      ...each,
      id: `host-${i}`,
      name: `h${i}`,
      vms: each.vms.map((committed, j) => ({ ...committed, id: `vm-${i}-${j}` })),
    })),
  ),
});

/** Sometimes the VM already stands on a host of the world (`vm-0-0`), as in a live migration or a resize. */
export const anyRequest: fc.Arbitrary<PlacementRequest> = fc.record({
  vmId: mostly('new', 'vm-0-0'),
  cpus: fc.integer({ min: 1, max: 4 }),
  memoryMib: fc.constantFrom(64, 128, 256),
  cpuModel: mostly('host', 'maximum', 'qemu64', 'EPYC', 'unheard-of'),
  poolIds: fc.oneof(subset('pool'), subset('pool', 'other')),
  volumeHostIds: mostly<string[]>([], ['host-1'], ['host-0', 'host-1'], ['host-2', 'host-2']),
  networkIds: fc.oneof(subset('net'), subset('net', 'far')),
  affinity: groups,
  antiAffinity: groups,
  projectId,
  hostId: mostly<string | undefined>(undefined, 'host-0', 'host-2', 'nowhere'),
  excludeHostIds: fc.oneof(
    { weight: 3, arbitrary: fc.constant<string[]>([]) },
    { weight: 1, arbitrary: subset(...hostIds) },
  ),
});
