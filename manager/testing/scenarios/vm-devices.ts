/** Trials of the tasks that give a VM a disk or a NIC and take it away. */
import assert from 'node:assert/strict';
import { systemIds } from '../../ids.ts';
import { plainPort, ports } from '../../store/networks.ts';
import { firstRevision } from '../../store/versioned.ts';
import { vmDisks } from '../../store/vms.ts';
import type { TaskKindName } from '../../tasks/params.ts';
import type { TaskWorld } from '../task-world.ts';
import { imageIsOn, type Scenario, scenario, type Scenarios, target } from './scenario.ts';

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

export const vmDevices = {
  'vm-attach-disk': {
    existing: attachDisk(false),
    new: attachDisk(true),
    'new, where its image does not lie': attachDisk(true, true),
  },
  'vm-detach-disk': { running: detachDisk },
  'vm-attach-nic': { running: attachNic },
  'vm-detach-nic': { stopped: detachNic },
} satisfies Partial<Record<TaskKindName, Scenarios>>;
