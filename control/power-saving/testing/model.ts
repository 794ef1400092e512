/** A cluster in thought that does what power saving decides, for tests: moves are placed, power is obeyed at once. */
import type { CommittedVm, PlacementHost, PlacementRequest } from '../../placement/world.ts';
import { roomWithout } from '../room.ts';
import type { PowerAction, PowerHost, PowerPolicy, PowerWorld, Wanting } from '../world.ts';

export const policy: PowerPolicy = {
  mode: 'automatic',
  evacuate: true,
  minHostsOn: 1,
  keepFreePercent: 30,
  wakeAbovePercent: 85,
  idleAfterMs: 1000,
};

export interface GivenVm {
  readonly on: number;
  readonly memoryMib: number;
  readonly cpus?: number;
}

export const request = (vmId: string, memoryMib: number, cpus = 1): PlacementRequest => ({
  ...{ vmId, memoryMib, cpus, cpuModel: 'host', projectId: 'p' },
  ...{ poolIds: [], volumeHostIds: [], networkIds: [], affinity: [], antiAffinity: [] },
});

export const wanting = (name: string, memoryMib: number, afterFailure = false): Wanting => ({
  name,
  request: request(name, memoryMib),
  afterFailure,
});

/** Hosts h0, h1 … of 1000 MiB and 16 CPUs, all on, and VMs v0, v1 … on them. */
export function world(hosts: number, vms: readonly GivenVm[], more: Partial<PowerWorld> = {}): PowerWorld {
  const asked = vms.map(({ memoryMib, cpus }, n) => request(`v${n}`, memoryMib, cpus));
  return {
    cluster: { placementPolicy: 'spread', cpuOvercommit: 1, memoryOvercommit: 1, memoryReservedMib: 0 },
    admission: null,
    wanting: [],
    unsettled: null,
    managerInDoubt: false,
    ...more,
    hosts: Array.from({ length: hosts }, (_, at) => {
      const here = asked.filter((_vm, n) => vms[n]!.on % hosts === at);
      const has = { cpuModels: [], reachablePoolIds: [], networkIds: [], vms: here.map(committed) };
      return {
        placement: { id: `h${at}`, name: `h${at}`, state: 'up', schedulable: true, cpus: 16, memoryMib: 1000, ...has },
        ...{ power: 'on', stays: null, dispensableSinceMs: null, notBeforeMs: 0, byPolicy: true },
        leaving: here.map((vm) => ({ name: vm.vmId, request: vm, committed: true })),
      };
    }),
  };
}

/** With the promise that any one host may fail. */
export function promising(of: PowerWorld, hostFailures = 1): PowerWorld {
  const protectedVms = of.hosts.flatMap(({ placement, leaving }) =>
    leaving.map((vm) => ({ hostId: placement.id, name: vm.name, request: vm.request })),
  );
  return {
    ...of,
    admission: { policy: { by: 'host-failures', hostFailures, share: 0, spareHosts: [] }, protectedVms },
  };
}

export function change(of: PowerWorld, hostId: string, changes: Partial<PowerHost>): PowerWorld {
  const hosts = of.hosts.map((host) => (host.placement.id === hostId ? { ...host, ...changes } : host));
  return { ...of, hosts };
}

export function asleep(of: PowerWorld, ...hostIds: readonly string[]): PowerWorld {
  return hostIds.reduce((now, id) => {
    const { placement } = now.hosts.find((host) => host.placement.id === id)!;
    return change(now, id, { power: 'standby', placement: { ...placement, state: 'down', schedulable: false } });
  }, of);
}

export function carryOut(of: PowerWorld, action: PowerAction): PowerWorld {
  const host = of.hosts.find(({ placement }) => placement.id === action.hostId)!;
  if (action.kind === 'wake') {
    const placement: PlacementHost = { ...host.placement, state: 'up', schedulable: true };
    return change(of, action.hostId, { power: 'on', placement, dispensableSinceMs: null });
  }
  const room = roomWithout(of, host);
  if ('homeless' in room) throw new Error(`${room.homeless} cannot leave`);
  const all = of.hosts.flatMap(({ leaving, placement }) =>
    leaving.map((vm) => ({ vm, hostId: room.moved.get(vm.request.vmId) ?? placement.id })),
  );
  const after = {
    ...of,
    hosts: of.hosts.map((each) => {
      const here = all.filter(({ hostId }) => hostId === each.placement.id).map(({ vm }) => vm);
      const vms = here.map((vm) => committed(vm.request));
      return { ...each, placement: { ...each.placement, vms }, leaving: here };
    }),
    admission: of.admission && {
      ...of.admission,
      protectedVms: all.map(({ vm, hostId }) => ({ hostId, name: vm.name, request: vm.request })),
    },
  };
  return asleep(after, action.hostId);
}

function committed({ vmId: id, ...rest }: PlacementRequest): CommittedVm {
  return { id, ...rest };
}
