/** What the hosts in memory do for each method of the agent contract that tasks use. */
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { FakeDomain, FakeDomainState, FakeHosts } from './fake-hosts.ts';

type Handler = (world: FakeHosts, hostId: string, params: never) => unknown;

interface VolumeAt {
  readonly poolId: string;
  readonly volumeId: string;
}

function domainOf(world: FakeHosts, hostId: string, vmId: string): FakeDomain {
  const domain = world.host(hostId).domains.get(vmId);
  if (domain === undefined || domain.incoming) throw new KvasirError('not-found', { kind: 'domain', id: vmId });
  return domain;
}

function fromSpec(vm: VmSpec, state: FakeDomainState, incoming = false): FakeDomain {
  return {
    state,
    volumes: new Set(vm.disks.map((disk) => disk.volumeId)),
    nics: new Set(vm.nics.map((nic) => nic.nicId)),
    incoming,
  };
}

const power =
  (allowed: readonly FakeDomainState[], then: FakeDomainState): Handler =>
  (world, hostId, { vmId }: { vmId: string }) => {
    const domain = domainOf(world, hostId, vmId);
    if (domain.state !== then && !allowed.includes(domain.state)) {
      throw new KvasirError('wrong-state', { action: then, kind: 'domain', name: vmId, state: domain.state });
    }
    domain.state = then;
    return { state: then };
  };

function leave(world: FakeHosts, hostId: string, vmId: string): string | undefined {
  for (const [id, host] of world.hosts) {
    const domain = host.domains.get(vmId);
    if (id === hostId || domain === undefined) continue;
    if (!domain.incoming) return id;
    const here = world.host(hostId).domains.get(vmId);
    if (here === undefined) return undefined;
    domain.incoming = false;
    domain.state = here.state;
    world.host(hostId).domains.delete(vmId);
    return id;
  }
  return undefined;
}

export const fakeMethods: Readonly<Record<string, Handler | undefined>> = {
  'volume.create': (world, hostId, volume: VolumeAt & { sizeBytes: number; from: { imageId: string } | null }) => {
    if (volume.from !== null && !world.imagesOf(hostId, volume.poolId).has(volume.from.imageId)) {
      throw new KvasirError('not-found', { kind: 'image', id: volume.from.imageId });
    }
    world.volumesOf(hostId, volume.poolId).set(volume.volumeId, volume.sizeBytes);
    return { sizeBytes: volume.sizeBytes };
  },
  'volume.resize': (world, hostId, volume: VolumeAt & { sizeBytes: number }) => {
    world.volumesOf(hostId, volume.poolId).set(volume.volumeId, volume.sizeBytes);
    return { sizeBytes: volume.sizeBytes };
  },
  'volume.delete': (world, hostId, volume: VolumeAt) => {
    for (const domain of world.host(hostId).domains.values()) {
      if (domain.volumes.has(volume.volumeId)) throw new KvasirError('host-failed', { reason: 'the volume is in use' });
    }
    world.volumesOf(hostId, volume.poolId).delete(volume.volumeId);
    return {};
  },
  'storage.list': (world, hostId, { poolId }: { poolId: string }) => ({
    volumeIds: [...world.volumesOf(hostId, poolId).keys()],
    imageIds: [...world.imagesOf(hostId, poolId)],
  }),
  'image.import': (world, hostId, { poolId, imageId }: { poolId: string; imageId: string }) => {
    world.imagesOf(hostId, poolId).add(imageId);
    return { format: 'qcow2', virtualSizeBytes: 5_000_000, sizeBytes: 1234, sha256: 'ab' };
  },
  'image.delete': (world, hostId, { poolId, imageId }: { poolId: string; imageId: string }) => {
    world.imagesOf(hostId, poolId).delete(imageId);
    return {};
  },
  'vm.define': (world, hostId, { vm }: { vm: VmSpec }) => {
    const { domains } = world.host(hostId);
    const state = domains.get(vm.vmId)?.state ?? 'stopped';
    domains.set(vm.vmId, fromSpec(vm, state));
    return { state };
  },
  'vm.undefine': (world, hostId, { vmId }: { vmId: string }) => {
    const domain = world.host(hostId).domains.get(vmId);
    if (domain?.state === 'running' || domain?.state === 'paused') {
      throw new KvasirError('wrong-state', { action: 'undefine', kind: 'domain', name: vmId, state: domain.state });
    }
    world.host(hostId).domains.delete(vmId);
    return {};
  },
  'vm.start': power(['stopped', 'suspended', 'crashed'], 'running'),
  'vm.stop': power(['running', 'paused', 'suspended', 'crashed'], 'stopped'),
  'vm.reset': power(['running', 'paused'], 'running'),
  'vm.pause': power(['running'], 'paused'),
  'vm.resume': power(['paused'], 'running'),
  'vm.suspend': power(['running', 'paused'], 'suspended'),
  'vm.resize': (world, hostId, { vmId, cpus }: { vmId: string; cpus: number }) => {
    const { state } = domainOf(world, hostId, vmId);
    world.definedCpus.set(vmId, cpus);
    return { live: state === 'stopped' || !world.rigidGuests };
  },
  'vm.resizeDisk': (
    world,
    hostId,
    { vmId, volumeId, sizeBytes }: { vmId: string; volumeId: string; sizeBytes: number },
  ) => {
    domainOf(world, hostId, vmId);
    world.sharedVolumes.set(volumeId, sizeBytes);
    return {};
  },
  'vm.attachDisk': (world, hostId, { vmId, disk }: { vmId: string; disk: { volumeId: string } }) => {
    domainOf(world, hostId, vmId).volumes.add(disk.volumeId);
    return {};
  },
  'vm.detachDisk': (world, hostId, { vmId, volumeId }: { vmId: string; volumeId: string }) => {
    domainOf(world, hostId, vmId).volumes.delete(volumeId);
    return {};
  },
  'vm.attachNic': (world, hostId, { vmId, nic }: { vmId: string; nic: { nicId: string } }) => {
    domainOf(world, hostId, vmId).nics.add(nic.nicId);
    return {};
  },
  'vm.detachNic': (world, hostId, { vmId, nicId }: { vmId: string; nicId: string }) => {
    domainOf(world, hostId, vmId).nics.delete(nicId);
    return {};
  },
  'migration.prepare': (world, hostId, { vm, copyVolumes }: { vm: VmSpec; copyVolumes: VolumeAt[] }) => {
    const { domains, volumes } = world.host(hostId);
    if (!domains.has(vm.vmId)) domains.set(vm.vmId, fromSpec(vm, 'paused', true));
    for (const volume of copyVolumes) volumes.set(volume.volumeId, 0);
    return { connectUri: `fake://${hostId}`, migrationHost: hostId };
  },
  'migration.send': (world, hostId, { vmId, copyVolumeIds }: { vmId: string; copyVolumeIds: string[] }) => {
    const destination = leave(world, hostId, vmId);
    if (destination === undefined) throw new KvasirError('host-failed', { reason: 'nobody awaits the domain' });
    for (const id of copyVolumeIds) world.host(destination).volumes.set(id, world.host(hostId).volumes.get(id) ?? 0);
    return { downtimeMs: 40, bytesTotal: 1000 };
  },
  'migration.ready': () => ({}),
  'migration.cancel': (world, hostId, { vmId }: { vmId: string }) => {
    world.underWay.delete(vmId);
    return { outcome: world.host(hostId).domains.get(vmId)?.incoming === false ? 'stayed' : 'left' };
  },
  'migration.departure': (world) => ({ awayMs: world.awayMs }),
  'vm.list': (world, hostId) => ({
    domains: [...world.host(hostId).domains].map(([vmId, { state, incoming }]) => ({ vmId, state, incoming })),
  }),
  'migration.abandon': (world, hostId, { vmId, copyVolumes }: { vmId: string; copyVolumes: VolumeAt[] }) => {
    const host = world.host(hostId);
    const domain = host.domains.get(vmId);
    if (domain !== undefined && !domain.incoming) return { arrived: true };
    if (world.underWay.has(vmId)) world.violate(`a destination was cleared while ${vmId} was on its way`);
    host.domains.delete(vmId);
    for (const volume of copyVolumes) host.volumes.delete(volume.volumeId);
    return { arrived: false };
  },
  'migration.forget': (world, hostId, { vmId, copiedVolumes }: { vmId: string; copiedVolumes: VolumeAt[] }) => {
    if (world.host(hostId).domains.has(vmId)) throw new KvasirError('host-failed', { reason: 'the domain is here' });
    for (const volume of copiedVolumes) world.host(hostId).volumes.delete(volume.volumeId);
    return {};
  },
};
