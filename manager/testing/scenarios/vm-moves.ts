/** Trials of the tasks that bring a VM to another host. */
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { systemIds } from '../../ids.ts';
import { recordProof } from '../../store/fence-proofs.ts';
import { hosts } from '../../store/hosts.ts';
import type { TaskKindName } from '../../tasks/params.ts';
import type { TaskWorld } from '../task-world.ts';
import { type Scenario, scenario, type Scenarios, target, vmIs } from './scenario.ts';

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

export const vmMoves = {
  'vm-migrate': { 'on shared storage': migrate(false), 'with storage': migrate(true) },
  'vm-restart': { 'by a proof': restartElsewhere(true), 'by the word of its host': restartElsewhere(false) },
  'vm-rehome': { stopped: rehome },
} satisfies Partial<Record<TaskKindName, Scenarios>>;
