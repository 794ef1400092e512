/** A start holds what is known of other hosts against it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { systemIds } from '../ids.ts';
import { recordProof } from '../store/fence-proofs.ts';
import { hostDomains } from '../store/host-domains.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { enqueue, runToEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';

forEachDatabase('a start', (open, database) => {
  // The rules are the same on both, and a database is slow to make there.
  if (database === 'postgres') return;

  for (const managed of [true, false])
    test(`does not happen while another host says that the VM runs there, ${managed ? 'with' : 'without'} our mark`, async () => {
      const world = await TaskWorld.open(await open());
      const scenario = await taskScenarios['vm-start']['stopped']!(world);
      const vmId = scenario.task.target.id;
      const row = { hostId: world.h2, domainId: vmId, name: 'vm', managed, vmId: managed ? vmId : null, seenAt: 1 };
      await world.store.transaction((tx) => hostDomains.insert(tx, { ...row, state: 'running' }));
      const task = await runToEnd(world, await enqueue(world, scenario));
      assert.equal(task.state, 'failed');
      assert.match(task.error!.message, /it runs on h2/);
      assert.notEqual((await vms.get(world.store.db, vmId)).state, 'running');
    });

  test('does not wait for a host that is proven dead meanwhile', { timeout: 20_000 }, async () => {
    const world = await TaskWorld.open(await open());
    const scenario = await taskScenarios['vm-start']['stopped']!(world);
    const unreachable = new KvasirError('host-unreachable', { host: 'h1' });
    const word = { userId: systemIds.uuid(), userName: 'eva', statement: 'unplugged' };
    const proof = operatorProof({ hostId: world.h1, hostName: 'h1', bootId: null }, word, 1);
    let proven: Promise<unknown> | undefined;
    world.hosts.fate = () => {
      proven ??= world.store.transaction((tx) => recordProof(tx, systemIds.uuid(), proof, null));
      return { kind: 'throw', error: unreachable, after: false };
    };
    const task = await runToEnd(world, await enqueue(world, scenario));
    assert.equal(task.state, 'failed');
    assert.match(task.error!.message, /proven dead/);
    assert.equal((await vms.get(world.store.db, scenario.task.target.id)).desiredState, 'stopped');
  });
});
