/** A VM that was promised to a host in standby is made when that host is up, and fails when it does not come up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostStandby, type HostStandbyRow } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { requestCancel, tasks, taskSteps } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { openSqlite } from '../testing/databases.ts';
import { enqueue, lead, taskEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import type { TaskParams } from './params.ts';

async function waiting(context: { readonly after: (work: () => Promise<void>) => void }) {
  const opened = await openSqlite();
  const world = await TaskWorld.open(opened.store);
  const { store, h1 } = world;
  const scenario = await taskScenarios['vm-create']['and start']!(world);
  const { vmId } = scenario.task.params as TaskParams<'vm-create'>;
  await store.transaction(async (tx) => {
    await vms.set(tx, { id: vmId }, { stateReason: 'waits for a host' });
    const order = { wasSchedulable: true, byPolicy: true, because: 'nothing needs it', taskId: h1 };
    await hostStandby.insert(tx, { hostId: h1, phase: 'waking', since: 1, ...order });
  });
  const taskId = await enqueue(world, scenario);
  const runner = await lead(world);
  context.after(async () => {
    await runner.stop();
    await opened.close();
  });
  const begun = async (): Promise<boolean> =>
    (await taskSteps.find(store.db, { taskId, name: 'host-awake' }))?.state === 'running';
  while (!(await begun())) await new Promise(setImmediate);
  assert.equal(world.hosts.calls, 0, 'nothing began');
  return {
    world,
    vm: () => vms.find(store.db, { id: vmId }),
    end: () => taskEnd(world, taskId),
    cancel: () => store.transaction((tx) => requestCancel(tx, taskId, 1)),
    becomes: (phase: HostStandbyRow['phase'] | 'back') =>
      store.transaction(async (tx) => {
        if (phase === 'back') await hostStandby.remove(tx, { hostId: h1 });
        else await hostStandby.set(tx, { hostId: h1 }, { phase });
      }),
  };
}

test('it goes on as soon as the host is back', async (context) => {
  const { vm, end, becomes } = await waiting(context);
  assert.equal((await vm())?.stateReason, 'waits for a host');
  await becomes('back');
  assert.equal((await end()).state, 'succeeded');
  const made = await vm();
  assert.deepEqual([made?.state, made?.stateReason], ['running', null]);
});

test('it fails, naming no host, when the host does not come up, and promises nothing then', async (context) => {
  const { world, vm, end, becomes } = await waiting(context);
  const { name } = await hosts.get(world.store.db, world.h1);
  await becomes('failed');
  const { state, error } = await end();
  assert.deepEqual([state, error?.code], ['failed', 'no-host-fits']);
  assert.match(error!.message, /did not come up; ask again/);
  assert.ok(!error!.message.includes(name));
  const failed = await vm();
  assert.deepEqual([failed?.state, failed?.hostId, failed?.desiredState], ['failed', null, 'stopped']);
  assert.equal(world.hosts.calls, 0);
});

test('it can be cancelled while it waits, and leaves nothing', async (context) => {
  const { world, vm, end, cancel } = await waiting(context);
  await cancel();
  assert.equal((await end()).state, 'cancelled');
  assert.equal(await vm(), undefined);
  assert.equal(await tasks.count(world.store.db, { state: 'parked' }), 0);
});
