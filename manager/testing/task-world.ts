/** Rows and hosts in memory that agree with each other, for tests of tasks; and what must hold whenever no task is under way. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { systemClock } from '@kvasir/api/clock.ts';
import { systemIds } from '../ids.ts';
import { bootstrap } from '../store/bootstrap.ts';
import { clusters } from '../store/clusters.ts';
import type { Store } from '../store/database.ts';
import { hostStandby } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { imageCopies, type ImageRow, images } from '../store/images.ts';
import { networks, plainPort, ports } from '../store/networks.ts';
import { poolHosts, pools } from '../store/pools.ts';
import { projects } from '../store/projects.ts';
import { taskLocks, tasks } from '../store/tasks.ts';
import { uploads } from '../store/uploads.ts';
import { firstRevision } from '../store/versioned.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import type { UploadSpool } from '../tasks/kind.ts';
import { type FakeDomainState, FakeHosts } from './fake-hosts.ts';
import { FakePower } from './fake-power.ts';

const now = 1000;
const fresh = () => firstRevision(systemIds.uuid(), now);
const onHost = ['running', 'paused', 'stopped', 'suspended', 'crashed'];

export interface NewVm {
  readonly state: VmRow['state'];
  readonly hostId: string | null;
  readonly pool?: string;
  /** State of the disk; default ready. */
  readonly volumeState?: VolumeRow['state'];
  /** The disk is made from the image also in the local pool, where the image does not lie. */
  readonly fromImage?: boolean;
  readonly changes?: Partial<VmRow>;
}

export class TaskWorld {
  readonly store: Store;
  readonly hosts = new FakeHosts();
  readonly power: FakePower;
  readonly spooled = new Set<string>();
  readonly h1 = systemIds.uuid();
  readonly h2 = systemIds.uuid();
  readonly sharedPool = systemIds.uuid();
  readonly localPool = systemIds.uuid();
  projectId = '';
  clusterId = '';
  networkId = '';
  image: ImageRow | undefined;
  #names = 0;

  private constructor(store: Store) {
    this.store = store;
    this.power = new FakePower(store, this.hosts);
  }

  static async open(store: Store): Promise<TaskWorld> {
    await bootstrap(store, { clock: systemClock, ids: systemIds });
    const world = new TaskWorld(store);
    world.projectId = (await projects.find(store.db, {}))!.id;
    world.clusterId = (await clusters.find(store.db, {}))!.id;
    world.networkId = (await networks.find(store.db, {}))!.id;
    world.hosts.sharedPools.add(world.sharedPool);
    await world.#addHosts();
    world.image = await world.addImage('ready');
    return world;
  }

  readonly spool: UploadSpool = {
    open: async () => {
      const content = new PassThrough();
      content.end('content');
      return content;
    },
    remove: async (id) => void this.spooled.delete(id),
  };

  name(prefix: string): string {
    this.#names += 1;
    return `${prefix}${this.#names}`;
  }

  async #addHosts(): Promise<void> {
    await this.store.transaction(async (tx) => {
      const { clusterId } = this;
      for (const [id, name] of [
        [this.h1, 'h1'],
        [this.h2, 'h2'],
      ] as const) {
        const told = {
          description: '',
          labels: {},
          state: 'up',
          schedulable: true,
          address: '',
          versions: {},
        } as const;
        const has = { virtualization: 'simulated', cpus: 8, cpuModel: 'x', memoryMib: 8192, inventory: null } as const;
        const link = { certificateFingerprint: null, lastSeenAt: null };
        await hosts.insert(tx, { ...fresh(), ...told, ...has, ...link, id, name: this.name(name), clusterId });
        this.hosts.host(id);
      }
      for (const [id, shared] of [
        [this.sharedPool, true],
        [this.localPool, false],
      ] as const) {
        const place = { name: this.name('pool'), description: '', kind: 'directory', path: '/p' } as const;
        await pools.insert(tx, { ...fresh(), ...place, id, clusterId, shared });
        for (const hostId of [this.h1, this.h2]) {
          const seen = { reachable: true, reason: null, totalMib: 1000, freeMib: 1000, updatedAt: now };
          await poolHosts.insert(tx, { poolId: id, hostId, ...seen });
        }
      }
    });
  }

  async addImage(state: ImageRow['state']): Promise<ImageRow> {
    const ready = state === 'ready' || state === 'deleting';
    const facts = ready
      ? { format: 'qcow2' as const, virtualSizeMib: 5, sizeBytes: 9, sha256: 'ab' }
      : { format: null, virtualSizeMib: null, sizeBytes: null, sha256: null };
    const told = { name: this.name('image'), description: '', labels: {}, public: true };
    return await this.store.transaction(async (tx) => {
      const image = await images.insert(tx, { ...fresh(), ...told, ...facts, projectId: this.projectId, state });
      if (!ready) return image;
      const copy = {
        imageId: image.id,
        poolId: this.sharedPool,
        hostId: null,
        state: 'ready',
        createdAt: now,
      } as const;
      await imageCopies.insert(tx, { ...copy, id: systemIds.uuid() });
      this.hosts.sharedImages.add(image.id);
      return image;
    });
  }

  async addVolume(
    state: VolumeRow['state'],
    pool = this.sharedPool,
    hostId = this.h1,
    fromImage = pool === this.sharedPool,
  ): Promise<VolumeRow> {
    const local = pool === this.localPool;
    const told = { name: this.name('volume'), description: '', labels: {}, projectId: this.projectId, trashedAt: null };
    const disk = {
      format: 'qcow2',
      sizeMib: 10,
      imageId: fromImage ? this.image!.id : null,
      linked: fromImage,
    } as const;
    const row = { ...fresh(), ...told, ...disk, poolId: pool, hostId: local ? hostId : null, state };
    await this.store.transaction((tx) => volumes.insert(tx, row));
    if (state !== 'creating') this.hosts.volumesOf(hostId, pool).set(row.id, 10);
    return row;
  }

  /** A VM with one disk and one NIC; its domain is there when its state says so. */
  async addVm({
    state,
    hostId,
    pool,
    volumeState,
    fromImage,
    changes,
  }: NewVm): Promise<{ vm: VmRow; volume: VolumeRow; nicId: string }> {
    const volume = await this.addVolume(volumeState ?? 'ready', pool, hostId ?? this.h1, fromImage);
    const told = { name: this.name('vm'), description: '', labels: {}, projectId: this.projectId };
    const place = { clusterId: this.clusterId, hostId, reservedHostId: null, affinity: [], antiAffinity: [] };
    const sizes = { cpus: 1, maxCpus: 2, memoryMib: 128, maxMemoryMib: 256 };
    const machine = { cpuModel: 'host', firmware: 'bios', bootOrder: ['disk'], cloudInit: null } as const;
    const seen = { stateReason: null, guest: null, drift: [], startedAt: null, trashedAt: null, purgeAt: null };
    const vm: VmRow = {
      ...fresh(),
      ...told,
      ...place,
      ...sizes,
      ...machine,
      ...seen,
      state,
      desiredState: 'running',
      ...changes,
    };
    const nic = {
      ...fresh(),
      vmId: vm.id,
      networkId: this.networkId,
      model: 'virtio',
      connected: true,
      position: 0,
    } as const;
    const macAddress = `52:54:00${nic.id.slice(0, 6).replaceAll(/../g, ':$&')}`;
    await this.store.transaction(async (tx) => {
      await vms.insert(tx, vm);
      await vmDisks.insert(tx, {
        volumeId: volume.id,
        vmId: vm.id,
        device: 'vda',
        bus: 'virtio',
        position: 0,
        readOnly: false,
      });
      await ports.insert(tx, { ...nic, ...plainPort, macAddress });
    });
    if (hostId !== null && onHost.includes(state)) {
      const devices = { volumes: new Set([volume.id]), nics: new Set([nic.id]), incoming: false };
      this.hosts.host(hostId).domains.set(vm.id, { state: state as FakeDomainState, ...devices });
    }
    return { vm, volume, nicId: nic.id };
  }

  /** Forgets what a test made, but for hosts, pools and the first image. */
  async reset(): Promise<void> {
    await this.store.transaction(async (tx) => {
      for (const table of [tasks, vmDisks, vms, volumes, uploads]) await table.remove(tx, {});
      const kept = this.image!.id;
      for (const { id } of await images.select(tx)) {
        if (id !== kept) await imageCopies.remove(tx, { imageId: id });
        if (id !== kept) await images.remove(tx, { id });
        await imageCopies.remove(tx, { poolId: this.localPool });
      }
    });
    this.hosts.sharedVolumes.clear();
    this.hosts.sharedImages.clear();
    this.hosts.sharedImages.add(this.image!.id);
    this.spooled.clear();
    for (const host of this.hosts.hosts.values()) host.clear();
  }

  /** As the inventory does when hosts report: the rows of VMs get the states of their domains. */
  async observe(): Promise<void> {
    await this.store.transaction(async (tx) => {
      for (const vm of await vms.select(tx)) {
        const domain = vm.hostId === null ? undefined : this.hosts.host(vm.hostId).domains.get(vm.id);
        if (domain && onHost.includes(vm.state)) await vms.set(tx, { id: vm.id }, { state: domain.state });
      }
    });
  }

  /** No task is under way: rows and hosts tell the same story, and nothing is left over. */
  async assertAtRest(): Promise<void> {
    const { db } = this.store;
    assert.deepEqual(this.hosts.violations, [], 'never to be');
    assert.deepEqual(await taskLocks.select(db), [], 'a lock is left');
    await this.#assertDomains();
    const entering = await hostStandby.count(db, { phase: 'entering' });
    assert.equal(entering, 0, 'a host is on its way to standby and no task takes it there');
    const rows = await volumes.select(db);
    const expected = rows.filter((row) => row.state === 'ready').map((row) => `${row.hostId ?? 'shared'}/${row.id}`);
    const files = [...this.hosts.sharedVolumes.keys()].map((id) => `shared/${id}`);
    for (const [hostId, host] of this.hosts.hosts)
      files.push(...[...host.volumes.keys()].map((id) => `${hostId}/${id}`));
    // Of a failed volume nobody knows; it can only be deleted.
    const failed = new Set(rows.filter((row) => row.state === 'failed').map((row) => row.id));
    const known = files.filter((file) => !failed.has(file.split('/')[1]!));
    assert.deepEqual(known.sort(), expected.sort(), 'volumes and files differ');
    assert.equal(rows.filter((row) => row.state === 'creating' || row.state === 'deleting').length, 0);
    const uploadIds = (await uploads.select(db)).map((upload) => upload.id);
    assert.deepEqual([...this.spooled].sort(), uploadIds.sort(), 'uploads and files differ');
    await this.#assertImages();
  }

  /** Each whole copy has its file; no file is unknown (a copy that was never finished may have one). */
  async #assertImages(): Promise<void> {
    const files = new Set([...this.hosts.sharedImages].map((id) => `shared/${id}`));
    for (const [hostId, host] of this.hosts.hosts) for (const id of host.images) files.add(`${hostId}/${id}`);
    const copies = await imageCopies.select(this.store.db);
    const names = (state: string) =>
      copies.filter((copy) => copy.state === state).map(({ hostId, imageId }) => `${hostId ?? 'shared'}/${imageId}`);
    const unfinished = new Set(names('copying'));
    const whole = [...files].filter((file) => !unfinished.has(file));
    assert.deepEqual(whole.sort(), names('ready').sort(), 'images and files differ');
  }

  async #assertDomains(): Promise<void> {
    const { db } = this.store;
    const story: string[] = [];
    for (const vm of await vms.select(db)) {
      assert.equal(vm.reservedHostId, null, 'a reservation is left');
      // Of a host that is not connected nothing is known.
      if (vm.hostId === null || vm.state === 'unknown') continue;
      const disks = (await vmDisks.select(db, { vmId: vm.id })).map((disk) => disk.volumeId);
      const nics = (await ports.select(db, { vmId: vm.id })).map((port) => port.id);
      story.push([vm.hostId, vm.id, vm.state, ...disks.sort(), ...nics.sort()].join(' '));
    }
    const seen: string[] = [];
    for (const [hostId, host] of this.hosts.hosts) {
      for (const [id, domain] of host.domains) {
        assert.equal(domain.incoming, false, 'half a migration is left');
        seen.push([hostId, id, domain.state, ...[...domain.volumes].sort(), ...[...domain.nics].sort()].join(' '));
      }
    }
    assert.deepEqual(seen.sort(), story.sort(), 'VMs and domains differ');
  }
}
