/** For each kind of task: rows as its intent writes them, and what shall be true when it succeeded. */
import assert from 'node:assert/strict';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { systemIds } from '../ids.ts';
import type { Tx } from '../store/database.ts';
import { fenceDevices, unverified } from '../store/fence-devices.ts';
import { recordProof } from '../store/fence-proofs.ts';
import { hostHa, setHostHa } from '../store/host-ha.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hostStandby, standbyOf } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { imageCopies, images } from '../store/images.ts';
import { plainPort, ports } from '../store/networks.ts';
import { uploads } from '../store/uploads.ts';
import { firstRevision } from '../store/versioned.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import type { NewTask, TaskTarget } from '../tasks/enqueue.ts';
import type { TaskKindName, TaskParams } from '../tasks/params.ts';
import type { NewVm, TaskWorld } from './task-world.ts';

export interface Scenario {
  readonly task: NewTask<TaskKindName>;
  /** Rows of the intent that name the task, in its transaction. */
  readonly enqueued?: (tx: Tx, taskId: string) => Promise<void>;
  /** Throws when the task that succeeded did not do what was asked. */
  check(): Promise<void>;
}

const target = (kind: string, row: { readonly id: string; readonly name: string }): TaskTarget => ({
  kind,
  id: row.id,
  name: row.name,
});

function scenario<K extends TaskKindName>(
  kind: K,
  on: TaskTarget,
  params: TaskParams<K>,
  check: () => Promise<void>,
  locks: readonly TaskTarget[] = [],
): Scenario {
  const task: NewTask<K> = { kind, params, target: on, locks, projectId: null, userId: null };
  return { task: task, check };
}

type PowerKind = 'vm-start' | 'vm-stop' | 'vm-reset' | 'vm-pause' | 'vm-resume' | 'vm-suspend';

function power<K extends PowerKind>(
  kind: K,
  from: VmRow['state'],
  to: VmRow['state'],
  more: Omit<TaskParams<K>, 'vmId'>,
) {
  return async (world: TaskWorld): Promise<Scenario> => {
    const { vm } = await world.addVm({ state: from, hostId: world.h1 });
    const params = { vmId: vm.id, ...more } as TaskParams<K>;
    return scenario(kind, target('vm', vm), params, () => vmIs(world, vm.id, { state: to }));
  };
}

async function vmIs(world: TaskWorld, id: string, wanted: Partial<VmRow>): Promise<void> {
  const vm = await vms.get(world.store.db, id);
  assert.deepEqual({ ...vm, ...wanted }, vm);
}

const create =
  (start: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const { vm, volume } = await world.addVm({ state: 'creating', hostId: world.h1, volumeState: 'creating' });
    const params = { vmId: vm.id, newVolumeIds: [volume.id], start };
    const check = () => vmIs(world, vm.id, { state: start ? 'running' : 'stopped', hostId: world.h1 });
    return scenario('vm-create', target('vm', vm), params, check, [target('volume', volume)]);
  };

/** The image lies in the shared pool alone; it has to be on h2 when its volume is made there. */
async function imageIsOn(world: TaskWorld, hostId: string): Promise<void> {
  const copy = await imageCopies.find(world.store.db, { imageId: world.image!.id, hostId });
  assert.equal(copy?.state, 'ready');
  assert.deepEqual([...world.hosts.host(hostId).images], [world.image!.id]);
}

const createElsewhere = async (world: TaskWorld): Promise<Scenario> => {
  const disk = { pool: world.localPool, volumeState: 'creating', fromImage: true } as const;
  const { vm, volume } = await world.addVm({ state: 'creating', hostId: world.h2, ...disk });
  const check = async () => {
    await vmIs(world, vm.id, { state: 'running', hostId: world.h2 });
    await imageIsOn(world, world.h2);
  };
  const params = { vmId: vm.id, newVolumeIds: [volume.id], start: true };
  return scenario('vm-create', target('vm', vm), params, check, [target('volume', volume)]);
};

const remove =
  (purge: boolean, from: NewVm['state']) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const { vm, volume } = await world.addVm({ state: from, hostId: from === 'trashed' ? null : world.h1 });
    const deleteVolumes = purge ? [{ volumeId: volume.id, hostId: world.h1 }] : [];
    const params = { vmId: vm.id, hostId: vm.hostId, stop: from === 'running', purge, purgeAt: 99, deleteVolumes };
    const check = async () => {
      if (!purge) return await vmIs(world, vm.id, { state: 'trashed', hostId: null, purgeAt: 99 });
      assert.equal(await vms.find(world.store.db, { id: vm.id }), undefined);
      assert.equal(await volumes.find(world.store.db, { id: volume.id }), undefined);
    };
    return scenario('vm-delete', target('vm', vm), params, check, [target('volume', volume)]);
  };

const migrate =
  (copy: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const changes = { reservedHostId: world.h2 };
    const pool = copy ? world.localPool : world.sharedPool;
    const { vm, volume } = await world.addVm({ state: 'running', hostId: world.h1, pool, changes });
    const how = { autoConverge: true, maxDowntimeMs: null, bandwidthMibps: null };
    const copyVolumeIds = copy ? [volume.id] : [];
    const params = { vmId: vm.id, sourceHostId: world.h1, destinationHostId: world.h2, copyVolumeIds, ...how };
    const check = () => vmIs(world, vm.id, { state: 'running', hostId: world.h2 });
    return scenario('vm-migrate', target('vm', vm), params, check, [target('volume', volume)]);
  };

const restartElsewhere =
  (proven: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const { store, h1, h2 } = world;
    const changes = { reservedHostId: h2 };
    const { vm, volume } = await world.addVm({ state: proven ? 'unknown' : 'stopped', hostId: h1, changes });
    const word = { userId: systemIds.uuid(), userName: 'eva', statement: 'unplugged' };
    const proof = operatorProof({ hostId: h1, hostName: 'h1', bootId: null }, word, 1);
    const proofId = proven ? systemIds.uuid() : null;
    await store.transaction(async (tx) => {
      await hosts.set(tx, { id: h1 }, { state: proven ? 'down' : 'up' });
      if (proofId !== null) await recordProof(tx, proofId, proof, null);
    });
    const params = { vmId: vm.id, fromHostId: h1, toHostId: h2, proofId, paused: false };
    const check = () => vmIs(world, vm.id, { state: 'running', hostId: h2 });
    return scenario('vm-restart', target('vm', vm), params, check, [target('volume', volume)]);
  };

const rehome = async (world: TaskWorld): Promise<Scenario> => {
  const { h1, h2 } = world;
  const { vm, volume } = await world.addVm({ state: 'stopped', hostId: h1, changes: { reservedHostId: h2 } });
  const params = { vmId: vm.id, fromHostId: h1, toHostId: h2 };
  const check = () => vmIs(world, vm.id, { state: 'stopped', hostId: h2 });
  return scenario('vm-rehome', target('vm', vm), params, check, [target('volume', volume)]);
};

/** VMs move by tasks of their own: those stand their trials themselves. */
const maintenance = async ({ store, h1 }: TaskWorld): Promise<Scenario> => {
  const host = await hosts.get(store.db, h1);
  const row = { hostId: h1, wasSchedulable: true, taskId: systemIds.uuid(), since: 1, total: 0 };
  await store.transaction((tx) => hostMaintenance.put(tx, row, ['hostId']));
  const check = async () => assert.equal((await hostHa.find(store.db, { hostId: h1 }))?.state, 'maintenance');
  return scenario('host-maintenance', target('host', host), { hostId: h1, parallel: 2 }, check);
};

/** A host with a power device, well or asleep, whatever an earlier run left of it. */
async function sleeper({ store, h1 }: TaskWorld, phase: 'entering' | 'waking') {
  const asleep = phase === 'waking';
  const taskId = systemIds.uuid();
  await store.transaction(async (tx) => {
    await hosts.set(tx, { id: h1 }, { state: asleep ? 'down' : 'up', schedulable: false });
    await setHostHa(tx, h1, { state: asleep ? 'standby' : 'running', because: null, since: 1 });
    const row = { hostId: h1, wasSchedulable: true, byPolicy: false, because: 'the test asks for it', since: 1 };
    await hostStandby.put(tx, { ...row, phase, taskId }, ['hostId']);
    if ((await fenceDevices.count(tx, { hostId: h1 })) === 0) await insertDevice(tx, h1);
  });
  return { host: await hosts.get(store.db, h1), taskId };
}

async function insertDevice(tx: Tx, hostId: string): Promise<void> {
  const at = { address: '127.0.0.1', port: 623, userName: 'root', sealedPassword: '', position: 0 };
  const more = { kind: 'ipmi', certificateFingerprint: null, ...unverified, systemPath: null } as const;
  await fenceDevices.insert(tx, {
    ...firstRevision(systemIds.uuid(), 1),
    name: `bmc-${hostId}`,
    hostId,
    ...at,
    ...more,
  });
}

const sleep = async (world: TaskWorld): Promise<Scenario> => {
  const { store, h1 } = world;
  const { host, taskId } = await sleeper(world, 'entering');
  const check = async () => {
    const seen = [
      await hosts.get(store.db, h1),
      await hostHa.find(store.db, { hostId: h1 }),
      await standbyOf(store.db, h1),
    ];
    assert.deepEqual(
      seen.map((row) => row && ('phase' in row ? row.phase : row.state)),
      ['down', 'standby', 'standby'],
    );
  };
  const asked = scenario('host-standby', target('host', host), { hostId: h1, parallel: 2 }, check);
  return { ...asked, enqueued: async (tx, id) => void (await hostStandby.set(tx, { taskId }, { taskId: id })) };
};

const wake = async (world: TaskWorld): Promise<Scenario> => {
  const { store, h1 } = world;
  const { host } = await sleeper(world, 'waking');
  const check = async () => {
    const { state, schedulable } = await hosts.get(store.db, h1);
    const ha = (await hostHa.find(store.db, { hostId: h1 }))?.state;
    assert.deepEqual([state, schedulable, ha, await standbyOf(store.db, h1)], ['up', true, 'running', undefined]);
  };
  return scenario('host-wake', target('host', host), { hostId: h1, timeoutMs: 60_000 }, check);
};

const attachDisk =
  (newVolume: boolean, local = false) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const { vm } = await world.addVm({ state: 'running', hostId: world.h1 });
    const pool = local ? world.localPool : world.sharedPool;
    const volume = await world.addVolume(newVolume ? 'creating' : 'ready', pool, world.h1, true);
    const disk = { device: 'vdb', bus: 'virtio', position: 1, readOnly: false } as const;
    await world.store.transaction((tx) => vmDisks.insert(tx, { volumeId: volume.id, vmId: vm.id, ...disk }));
    const params = { vmId: vm.id, volumeId: volume.id, newVolume };
    const check = async () => {
      assert.equal((await vmDisks.get(world.store.db, volume.id)).vmId, vm.id);
      if (local) await imageIsOn(world, world.h1);
    };
    return scenario('vm-attach-disk', target('vm', vm), params, check, [target('volume', volume)]);
  };

const resize = async (world: TaskWorld): Promise<Scenario> => {
  const from = { cpus: 1, maxCpus: 2, memoryMib: 256, maxMemoryMib: 256 };
  const to = { cpus: 2, maxCpus: 2, memoryMib: 128, maxMemoryMib: 256 };
  const { vm } = await world.addVm({ state: 'running', hostId: world.h1, changes: { cpus: 2, memoryMib: 256 } });
  return scenario('vm-resize', target('vm', vm), { vmId: vm.id, from, to }, () => vmIs(world, vm.id, to));
};

const restore = async (world: TaskWorld): Promise<Scenario> => {
  const { vm } = await world.addVm({ state: 'trashed', hostId: world.h1 });
  const params = { vmId: vm.id, trashedAt: 5, purgeAt: 6 };
  return scenario('vm-restore', target('vm', vm), params, () => vmIs(world, vm.id, { state: 'stopped' }));
};

const detachDisk = async (world: TaskWorld): Promise<Scenario> => {
  const { vm, volume } = await world.addVm({ state: 'running', hostId: world.h1 });
  const check = async () => assert.equal(await vmDisks.find(world.store.db, { volumeId: volume.id }), undefined);
  return scenario('vm-detach-disk', target('vm', vm), { vmId: vm.id, volumeId: volume.id }, check);
};

const attachNic = async (world: TaskWorld): Promise<Scenario> => {
  const { vm } = await world.addVm({ state: 'running', hostId: world.h1 });
  const nic = { networkId: world.networkId, model: 'virtio', connected: true, position: 1 } as const;
  const row = { ...firstRevision(systemIds.uuid(), 1), ...nic, vmId: vm.id };
  const macAddress = `52:54:01${row.id.slice(0, 6).replaceAll(/../g, ':$&')}`;
  await world.store.transaction((tx) => ports.insert(tx, { ...row, ...plainPort, macAddress }));
  const check = async () => assert.equal((await ports.get(world.store.db, row.id)).vmId, vm.id);
  return scenario('vm-attach-nic', target('vm', vm), { vmId: vm.id, nicId: row.id }, check);
};

const detachNic = async (world: TaskWorld): Promise<Scenario> => {
  const { vm, nicId } = await world.addVm({ state: 'stopped', hostId: world.h1 });
  const check = async () => assert.equal(await ports.find(world.store.db, { id: nicId }), undefined);
  return scenario('vm-detach-nic', target('vm', vm), { vmId: vm.id, nicId }, check);
};

const createVolume = async (world: TaskWorld): Promise<Scenario> => {
  const volume = await world.addVolume('creating');
  const check = async () => assert.equal((await volumes.get(world.store.db, volume.id)).state, 'ready');
  return scenario('volume-create', target('volume', volume), { volumeId: volume.id, hostId: world.h1 }, check);
};

const createLocalVolume = async (world: TaskWorld): Promise<Scenario> => {
  const volume = await world.addVolume('creating', world.localPool, world.h2, true);
  const check = async () => {
    assert.equal((await volumes.get(world.store.db, volume.id)).state, 'ready');
    await imageIsOn(world, world.h2);
  };
  return scenario('volume-create', target('volume', volume), { volumeId: volume.id, hostId: world.h2 }, check);
};

const resizeVolume =
  (attached: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const { vm, volume } = await world.addVm({ state: 'running', hostId: world.h1 });
    const free = await world.addVolume('ready');
    const row = attached ? volume : free;
    await world.store.transaction((tx) => volumes.update(tx, row.id, { sizeMib: 20 }, { now: 2 }));
    const params = { volumeId: row.id, hostId: world.h1, vmId: attached ? vm.id : null, fromMib: 10, toMib: 20 };
    const check = async () => {
      assert.equal((await volumes.get(world.store.db, row.id)).sizeMib, 20);
      assert.equal(world.hosts.sharedVolumes.get(row.id), 20 * 1024 * 1024);
    };
    return scenario('volume-resize', target('volume', row), params, check);
  };

const deleteVolume = async (world: TaskWorld): Promise<Scenario> => {
  const volume = await world.addVolume('deleting');
  const check = async () => assert.equal(await volumes.find(world.store.db, { id: volume.id }), undefined);
  return scenario('volume-delete', target('volume', volume), { volumeId: volume.id, hostId: world.h1 }, check);
};

const importImage =
  (uploaded: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const image = await world.addImage('importing');
    const uploadId = systemIds.uuid();
    if (uploaded) {
      const whole = { sizeBytes: 7, receivedBytes: 7, sha256: null, createdAt: 1, updatedAt: 1, expiresAt: 9 };
      const of = { imageId: image.id, projectId: world.projectId, userId: systemIds.uuid(), poolId: world.sharedPool };
      await world.store.transaction((tx) => uploads.insert(tx, { ...whole, ...of, id: uploadId }));
      world.spooled.add(uploadId);
    }
    const source = uploaded ? { uploadId } : { file: 'tiny.qcow2' };
    const at = { poolId: world.sharedPool, hostId: world.h1, maxVirtualSizeBytes: null, expectedSha256: null };
    const check = async () => {
      const row = await images.get(world.store.db, image.id);
      assert.deepEqual([row.state, row.format, row.virtualSizeMib], ['ready', 'qcow2', 5]);
      assert.equal(world.spooled.size, 0);
    };
    return scenario('image-import', target('image', image), { imageId: image.id, source, ...at }, check);
  };

const deleteImage = async (world: TaskWorld): Promise<Scenario> => {
  const image = await world.addImage('deleting');
  const copies = [{ poolId: world.sharedPool, hostId: world.h1 }];
  const check = async () => assert.equal(await images.find(world.store.db, { id: image.id }), undefined);
  return scenario('image-delete', target('image', image), { imageId: image.id, copies }, check);
};

type Scenarios = Readonly<Record<string, (world: TaskWorld) => Promise<Scenario>>>;

/** At least one for each kind. */
export const taskScenarios: Readonly<Record<TaskKindName, Scenarios>> = {
  'vm-create': {
    'and start': create(true),
    'and leave stopped': create(false),
    'where its image does not lie': createElsewhere,
  },
  'vm-start': {
    stopped: power('vm-start', 'stopped', 'running', { paused: false }),
    suspended: power('vm-start', 'suspended', 'running', { paused: false }),
  },
  'vm-stop': { running: power('vm-stop', 'running', 'stopped', { timeoutMs: 10, force: false }) },
  'vm-reset': { running: power('vm-reset', 'running', 'running', {}) },
  'vm-pause': { running: power('vm-pause', 'running', 'paused', {}) },
  'vm-resume': { paused: power('vm-resume', 'paused', 'running', {}) },
  'vm-suspend': { running: power('vm-suspend', 'running', 'suspended', {}) },
  'vm-resize': { running: resize },
  'vm-delete': {
    'into the trash': remove(false, 'stopped'),
    'while it runs': remove(true, 'running'),
    'from the trash': remove(true, 'trashed'),
  },
  'vm-restore': { trashed: restore },
  'vm-migrate': { 'on shared storage': migrate(false), 'with storage': migrate(true) },
  'vm-restart': { 'by a proof': restartElsewhere(true), 'by the word of its host': restartElsewhere(false) },
  'vm-rehome': { stopped: rehome },
  'host-maintenance': { empty: maintenance },
  'host-standby': { empty: sleep },
  'host-wake': { asleep: wake },
  'vm-attach-disk': {
    existing: attachDisk(false),
    new: attachDisk(true),
    'new, where its image does not lie': attachDisk(true, true),
  },
  'vm-detach-disk': { running: detachDisk },
  'vm-attach-nic': { running: attachNic },
  'vm-detach-nic': { stopped: detachNic },
  'volume-create': { 'from an image': createVolume, 'where its image does not lie': createLocalVolume },
  'volume-resize': { attached: resizeVolume(true), free: resizeVolume(false) },
  'volume-delete': { free: deleteVolume },
  'image-import': { 'from a file': importImage(false), uploaded: importImage(true) },
  'image-delete': { ready: deleteImage },
};
