/** High availability under circumstances that are seldom: policies, several clusters and pools, clocks, losses one after the other. */
import assert from 'node:assert/strict';
import { KvasirError } from '@kvasir/api/errors.ts';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { systemIds } from '../ids.ts';
import { clusters } from '../store/clusters.ts';
import { recordProof, validProof } from '../store/fence-proofs.ts';
import { haIncidents, haRestarts } from '../store/ha-incidents.ts';
import { setClusterHa } from '../store/ha-settings.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hosts } from '../store/hosts.ts';
import { pools } from '../store/pools.ts';
import { taskLocks, tasks } from '../store/tasks.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { placeInThought } from '../tasks/ha-placement.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { promisedIn } from '../testing/ha-promised.ts';

forEachDatabase('high availability', (open, database) => {
  // The rules are the same on both, and a database is slow to make there.
  if (database === 'postgres') return;

  const promised = promisedIn(open);

  promised('switches an isolated host off and leaves its VMs off, where the cluster wants that', async (world) => {
    const { h1, clusterId } = world.tasks;
    const vm = await world.runningVm(h1);
    const policy = { isolation: 'shutdown', isolationAfterMs: 1000 } as const;
    await world.store.transaction((tx) => setClusterHa(tx, clusterId, { policy }));
    world.lives.get(h1)!.heard = false;
    await world.until('it is proven off', async () => (await world.haState(h1)) === 'fenced');
    await world.pass(30_000);
    assert.deepEqual(world.powerOffs, [h1]);
    assert.deepEqual([(await world.vm(vm.id)).hostId, (await world.vm(vm.id)).state], [h1, 'unknown']);
    assert.equal(await haRestarts.count(world.store.db), 0);
    assert.ok(!(await world.eventKinds()).includes('ha.host-lost'));
  });

  promised('restarts the VMs of a host that is dead, also where isolated ones are only switched off', async (world) => {
    const { h1, h2, clusterId } = world.tasks;
    await world.store.transaction((tx) => setClusterHa(tx, clusterId, { policy: { isolation: 'shutdown' } }));
    const vm = await world.runningVm(h1);
    const late = await world.runningVm(h2);
    world.powerLoss(h1);
    await world.until('it runs again', async () => (await world.vm(vm.id)).hostId !== h1 && (await world.runs(vm.id)));
    assert.equal(await world.haState(h1), 'fenced');
    // It had just arrived there by a migration when the host died.
    world.tasks.hosts.host(h2).domains.delete(late.id);
    await world.store.transaction(async (tx) => {
      await vms.set(tx, { id: late.id }, { hostId: h1, state: 'unknown' });
      const seen = { name: late.id, state: 'running', managed: true, vmId: late.id, seenAt: 1 };
      await hostDomains.insert(tx, { hostId: h1, domainId: late.id, ...seen });
      await hostDomains.remove(tx, { hostId: h2, domainId: late.id });
    });
    await world.until(
      'that one, too',
      async () => (await world.vm(late.id)).hostId !== h1 && (await world.runs(late.id)),
    );
  });

  promised(
    'restarts the VMs of a host on an operator’s word alone, also where isolated ones are only switched off',
    async (world) => {
      const { h1, clusterId } = world.tasks;
      await world.store.transaction((tx) => setClusterHa(tx, clusterId, { policy: { isolation: 'shutdown' } }));
      const vm = await world.runningVm(h1);
      await world.controller.stop();
      world.powerLoss(h1);
      await world.pass(5000);
      world.controller.start();
      const word = { userId: systemIds.uuid(), userName: 'eva', statement: 'the cable is out' };
      const proof = operatorProof({ hostId: h1, hostName: 'h1', bootId: null }, word, world.clock.now());
      await world.store.transaction((tx) => recordProof(tx, systemIds.uuid(), proof, null));
      await world.until(
        'it runs again',
        async () => (await world.vm(vm.id)).hostId !== h1 && (await world.runs(vm.id)),
      );
    },
  );

  promised('takes no power-off for a proof that cost a host of another cluster its power', async (world) => {
    const { h1, clusterId } = world.tasks;
    const vm = await world.runningVm(h1);
    const [other, x1] = [systemIds.uuid(), systemIds.uuid()];
    await world.store.transaction(async (tx) => {
      await clusters.insert(tx, { ...(await clusters.get(tx, clusterId)), id: other, name: 'other' });
      await hosts.insert(tx, { ...(await hosts.get(tx, h1)), id: x1, name: 'x1', clusterId: other });
      await setClusterHa(tx, clusterId, { policy: { fencing: ['ipmi'] } });
    });
    world.lives.set(x1, { heard: true, alive: true, bootId: 'boot-of-x1' });
    world.wiring.set(h1, x1);
    await world.pass(5000);
    // Nobody sees it any more, and it lives on.
    Object.assign(world.lives.get(h1)!, { heard: false, alive: false });
    const told = async (kind: string) => (await world.eventKinds()).includes(kind);
    await world.until('its device is mistrusted', () => told('fence-device.mistrusted'));
    await world.until('an operator is called', () => told('ha.operator-needed'));
    await world.pass(30_000);
    assert.deepEqual(world.powerOffs, [h1], 'it is not told again');
    assert.equal(await validProof(world.store.db, h1), undefined);
    assert.equal((await world.vm(vm.id)).hostId, h1);
  });

  promised('restarts on hosts that lost another pool or their networks when no other has room', async (world) => {
    const { h1, h2, clusterId, sharedPool } = world.tasks;
    const other = systemIds.uuid();
    await world.store.transaction(async (tx) => {
      await pools.insert(tx, { ...(await pools.get(tx, sharedPool)), id: other, name: 'other' });
      await setClusterHa(tx, clusterId, { policy: { fencing: ['operator'] } });
    });
    const vm = await world.runningVm(h1);
    const [h3] = [...world.lives.keys()].filter((id) => id !== h1 && id !== h2);
    world.lives.get(h2)!.lostPool = other;
    world.lives.get(h3!)!.lostPool = other;
    await world.until('they lost it', async () => (await world.haState(h2)) === 'storage-lost');
    const drilled = await placeInThought(world.store.db, world.clock, clusterId, [vm.id], [h1, h2, h3!], () => [h1]);
    assert.notEqual(drilled.get(vm.id)?.hostId, null);
    world.powerLoss(h1);
    await world.until('an operator is called', async () => (await world.eventKinds()).includes('ha.operator-needed'));
    const word = { userId: systemIds.uuid(), userName: 'eva', statement: 'x' };
    const proof = operatorProof({ hostId: h1, hostName: 'h1', bootId: null }, word, world.clock.now());
    await world.store.transaction((tx) => recordProof(tx, systemIds.uuid(), proof, null));
    await world.until('it runs again', async () => (await world.vm(vm.id)).hostId !== h1 && (await world.runs(vm.id)));
  });

  promised('keeps VMs of a group together or apart that leave a dead host', async (world) => {
    const { h1, h2 } = world.tasks;
    const near: VmRow[] = [];
    for (const _ of [1, 2, 3]) near.push(await world.runningVm(h1, { affinity: ['near'] }));
    const apart = [
      await world.runningVm(h1, { antiAffinity: ['db'] }),
      await world.runningVm(h2, { antiAffinity: ['db'] }),
    ];
    world.powerLoss(h1);
    await world.until('all run again', async () => {
      const running = await Promise.all(
        [...near, ...apart].map(async ({ id }) => (await world.runs(id)) && (await world.vm(id)).hostId !== h1),
      );
      return running.every(Boolean);
    });
    const hostsOf = async (some: readonly { readonly id: string }[]) =>
      new Set(await Promise.all(some.map(async ({ id }) => (await world.vm(id)).hostId))).size;
    assert.deepEqual([await hostsOf(near), await hostsOf(apart)], [1, 2]);
  });

  promised('restarts a VM again whose new host dies before it could report it', async (world) => {
    const { h1 } = world.tasks;
    const vm = await world.runningVm(h1);
    const leaves = (hostId: string) =>
      world.until('it runs again', async () => (await world.vm(vm.id)).hostId !== hostId && (await world.runs(vm.id)));
    world.powerLoss(h1);
    await leaves(h1);
    await world.powerOn(h1);
    await world.until('h1 is back', async () => (await world.haState(h1)) === 'running');
    const next = (await world.vm(vm.id)).hostId!;
    world.powerLoss(next);
    await leaves(next);
  });

  promised('goes on when the clock is set back to before the manager began', async (world) => {
    const { h1, h2 } = world.tasks;
    const [before, after] = [await world.runningVm(h1), await world.runningVm(h2)];
    const movesAway = (id: string, hostId: string) =>
      world.until('it runs again', async () => (await world.vm(id)).hostId !== hostId && (await world.runs(id)));
    world.powerLoss(h1);
    await world.pass(1000);
    world.setClockBack(600_000);
    await movesAway(before.id, h1);
    await world.powerOn(h1);
    await world.until('all is well', async () => (await world.haState(h1)) === 'running');
    world.powerLoss(h2);
    await movesAway(after.id, h2);
  });

  promised('tries a restart again in time although the clock was set back', async (world) => {
    const { h1, h2 } = world.tasks;
    const vm = await world.runningVm(h1);
    await world.store.transaction((tx) => hosts.set(tx, {}, { schedulable: false }));
    world.powerLoss(h1);
    await world.until('it waits for room', async () => (await world.eventKinds()).includes('ha.no-capacity'));
    world.setClockBack(600_000);
    await world.store.transaction((tx) => hosts.set(tx, { id: h2 }, { schedulable: true }));
    await world.until('it runs', () => world.runs(vm.id, h2));
  });

  promised(
    'calls an operator again when the host is lost again while a VM could not be restarted yet',
    async (world) => {
      const { h1, clusterId } = world.tasks;
      await world.runningVm(h1);
      await world.store.transaction((tx) =>
        setClusterHa(tx, clusterId, { policy: { fencing: ['operator'], restartLimit: 1 } }),
      );
      world.tasks.hosts.fate = ({ method }) =>
        method === 'vm.start'
          ? { kind: 'throw', error: new KvasirError('host-failed', { reason: 'no' }), after: false }
          : { kind: 'work' };
      const calls = async (kind: string, count: number) =>
        (await world.eventKinds()).filter((each) => each === kind).length === count;
      world.powerLoss(h1);
      await world.until('an operator is called', () => calls('ha.operator-needed', 1));
      await world.powerOn(h1);
      await world.until('it cannot start', () => calls('ha.restart-failed', 1));
      await world.pass(10_000);
      assert.equal(await haIncidents.count(world.store.db, { closedAt: null }), 1);
      world.powerLoss(h1);
      await world.until('an operator is called again', () => calls('ha.operator-needed', 2));
      assert.ok(await calls('ha.host-lost', 2));
    },
  );

  promised('waits in silence for a disk that another task holds', async (world) => {
    const { h1 } = world.tasks;
    const vm = await world.runningVm(h1);
    const [disk] = await vmDisks.select(world.store.db, { vmId: vm.id });
    const volume = await volumes.get(world.store.db, disk!.volumeId);
    const params = { volumeId: volume.id, hostId: world.tasks.h2, vmId: null, fromMib: 10, toMib: 20 };
    const about = { target: { kind: 'volume', id: volume.id, name: volume.name }, projectId: null, userId: null };
    const seams = { clock: world.clock, ids: systemIds };
    const { id: taskId } = await world.store.transaction(async (tx) => {
      const task = await enqueueTask(tx, seams, { kind: 'volume-resize', params, ...about });
      await tasks.set(tx, { id: task.id }, { state: 'parked', parkedAt: 1 });
      return task;
    });
    world.powerLoss(h1);
    await world.until('it is proven dead', async () => (await validProof(world.store.db, h1)) !== undefined);
    await world.pass(5000);
    const told = (await world.story()).length;
    await world.pass(30_000);
    assert.equal((await world.story()).length, told);
    await world.store.transaction((tx) => taskLocks.remove(tx, { taskId }));
    await world.until('it runs', () => world.runs(vm.id));
  });
});
