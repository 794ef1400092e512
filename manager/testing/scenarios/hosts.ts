/** Trials of the tasks that empty a host, lay it to sleep and wake it. */
import assert from 'node:assert/strict';
import { systemIds } from '../../ids.ts';
import type { Tx } from '../../store/database.ts';
import { fenceDevices, unverified } from '../../store/fence-devices.ts';
import { hostHa, setHostHa } from '../../store/host-ha.ts';
import { hostMaintenance } from '../../store/host-maintenance.ts';
import { hostStandby, standbyOf } from '../../store/host-standby.ts';
import { hosts } from '../../store/hosts.ts';
import { firstRevision } from '../../store/versioned.ts';
import type { TaskKindName } from '../../tasks/params.ts';
import type { TaskWorld } from '../task-world.ts';
import { type Scenario, scenario, type Scenarios, target } from './scenario.ts';

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

export const hostTasks = {
  'host-maintenance': { empty: maintenance },
  'host-standby': { empty: sleep },
  'host-wake': { asleep: wake },
} satisfies Partial<Record<TaskKindName, Scenarios>>;
