/** Trials of the tasks that make a VM, switch it on and off, size it and remove it. */
import assert from 'node:assert/strict';
import { type VmRow, vms } from '../../store/vms.ts';
import { volumes } from '../../store/volumes.ts';
import type { TaskKindName, TaskParams } from '../../tasks/params.ts';
import type { NewVm, TaskWorld } from '../task-world.ts';
import { imageIsOn, type Scenario, scenario, type Scenarios, target, vmIs } from './scenario.ts';

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

const create =
  (start: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const { vm, volume } = await world.addVm({ state: 'creating', hostId: world.h1, volumeState: 'creating' });
    const params = { vmId: vm.id, newVolumeIds: [volume.id], start };
    const check = () => vmIs(world, vm.id, { state: start ? 'running' : 'stopped', hostId: world.h1 });
    return scenario('vm-create', target('vm', vm), params, check, [target('volume', volume)]);
  };

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

export const vmLife = {
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
} satisfies Partial<Record<TaskKindName, Scenarios>>;
