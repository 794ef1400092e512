/** A restart on another host holds its evidence against what is known at the moment that counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { systemIds } from '../ids.ts';
import { endProofs, fenceProofs, recordProof } from '../store/fence-proofs.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { enqueue, runToEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import type { TaskParams } from './params.ts';

forEachDatabase('a restart on another host', (open, database) => {
  async function prepared(how: 'by a proof' | 'by the word of its host' = 'by a proof') {
    const world = await TaskWorld.open(await open());
    const scenario = await taskScenarios['vm-restart'][how]!(world);
    const { vmId } = scenario.task.params as TaskParams<'vm-restart'>;
    const refusedBecause = async (): Promise<string> => {
      const task = await runToEnd(world, await enqueue(world, scenario));
      assert.equal(task.state, 'failed');
      const vm = await vms.get(world.store.db, vmId);
      assert.deepEqual([vm.hostId, vm.reservedHostId], [world.h1, null]);
      assert.equal(world.hosts.host(world.h2).domains.size, 0);
      return task.error!.message;
    };
    return { world, vmId, refusedBecause };
  }

  test('does not happen when the host is back', async () => {
    const { world, refusedBecause } = await prepared();
    await world.store.transaction((tx) => hosts.set(tx, { id: world.h1 }, { state: 'up' }));
    assert.match(await refusedBecause(), /h1\d* is up/);
    assert.equal(world.hosts.calls, 0);
  });

  test('does not happen when the proof has ended, or is about another host', async () => {
    const ended = await prepared();
    await ended.world.store.transaction((tx) => endProofs(tx, ended.world.h1, 5));
    assert.match(await ended.refusedBecause(), /nothing proves any more/);
    const other = await prepared();
    const { store, h2 } = other.world;
    await store.transaction((tx) => fenceProofs.set(tx, {}, { hostId: h2 }));
    assert.match(await other.refusedBecause(), /nothing proves any more/);
  });

  // A database is slow to make there, and the rest of the rules is the same.
  if (database === 'postgres') return;

  test('does not happen by a lease in pools that hold none of its disks', async () => {
    const { world, refusedBecause } = await prepared();
    await world.store.transaction((tx) =>
      fenceProofs.set(tx, {}, { kind: 'lease-expired', poolIds: [world.localPool] }),
    );
    assert.match(await refusedBecause(), /says nothing of this VM's disks/);
  });

  test('does not happen when the old host says that the VM runs', async () => {
    const { world, vmId } = await prepared('by the word of its host');
    world.hosts.host(world.h1).domains.get(vmId)!.state = 'running';
    await world.store.transaction((tx) => vms.set(tx, { id: vmId }, { state: 'running' }));
    const proofless = await taskScenarios['vm-restart']['by the word of its host']!(world);
    const params = { ...(proofless.task.params as TaskParams<'vm-restart'>), vmId };
    const task = { ...proofless.task, params, target: { ...proofless.task.target, id: vmId } };
    const end = await runToEnd(world, await enqueue(world, { ...proofless, task }));
    assert.equal(end.state, 'failed');
    assert.equal(world.hosts.host(world.h1).domains.get(vmId)!.state, 'running');
    assert.deepEqual(world.hosts.violations, []);
  });

  test('does not start when the old host came back with the VM running after all', async () => {
    const { world, vmId, refusedBecause } = await prepared();
    world.hosts.onCall = async (method) => {
      if (method !== 'vm.define') return;
      await world.store.transaction(async (tx) => {
        await hosts.set(tx, { id: world.h1 }, { state: 'up' });
        const seen = { name: 'vm', state: 'running', managed: true, vmId, seenAt: 1 } as const;
        await hostDomains.put(tx, { hostId: world.h1, domainId: vmId, ...seen }, ['hostId', 'domainId']);
      });
    };
    assert.match(await refusedBecause(), /it runs on h1/);
  });

  test('fails, and is not parked, when the definition is cleared away on the new host before the start', async () => {
    const { world, vmId, refusedBecause } = await prepared();
    world.hosts.onCall = async (method) => {
      if (method === 'vm.start') world.hosts.host(world.h2).domains.delete(vmId);
    };
    assert.match(await refusedBecause(), /There is no/);
  });

  test('does not wait for a new host that is dead itself', async () => {
    const { world, refusedBecause } = await prepared();
    const word = { userId: systemIds.uuid(), userName: 'eva', statement: 'unplugged' };
    world.hosts.onCall = async (method) => {
      if (method !== 'vm.start') return;
      await world.store.transaction((tx) =>
        recordProof(
          tx,
          systemIds.uuid(),
          operatorProof({ hostId: world.h2, hostName: 'h2', bootId: null }, word, 1),
          null,
        ),
      );
      world.hosts.host(world.h2).clear();
    };
    await refusedBecause();
    assert.equal(world.hosts.calls, 2, 'define and start, and no call to undo them');
  });
});
