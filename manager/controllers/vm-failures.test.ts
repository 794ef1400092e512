/** A VM fails while its host is well: restarted in place, elsewhere, not too often; hung guests are reset. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DomainReport, GuestSigns } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemIds } from '../ids.ts';
import { haIncidents, haRestarts } from '../store/ha-incidents.ts';
import { setClusterHa, setVmHa } from '../store/ha-settings.ts';
import { currentEpoch } from '../store/leader.ts';
import { tasks } from '../store/tasks.ts';
import { vmFailures } from '../store/vm-failures.ts';
import { vms } from '../store/vms.ts';
import { enqueueVmDelete } from '../tasks/vm-delete-intent.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { HaWorld } from '../testing/ha-world.ts';
import { lookAtVms } from './vm-failures.ts';

forEachDatabase('a VM that fails', (open, database) => {
  if (database === 'postgres') return;

  const promised = (name: string, work: (world: HaWorld, bed: Bed) => Promise<void>): void => {
    test(name, { timeout: 30_000 }, async () => {
      const world = await HaWorld.open(await open());
      try {
        await work(world, new Bed(world));
        assert.deepEqual(world.tasks.hosts.violations, []);
      } finally {
        await world.close();
      }
    });
  };

  promised('is started again in place, and its incident ends', async (world, bed) => {
    const { h1 } = world.tasks;
    const vm = await world.runningVm(h1);
    await bed.crash(h1, vm.id, 'panicked');
    await bed.until('it runs again', () => world.runs(vm.id, h1));
    await bed.until('it is over', async () => (await vmFailures.count(world.store.db, { endedAt: null })) === 0);
    const [failure] = await vmFailures.select(world.store.db);
    assert.deepEqual([failure?.kind, failure?.reaction], ['guest-panicked', 'restart']);
    assert.equal(await haIncidents.count(world.store.db, { closedAt: null }), 0);
    assert.match(await world.story(), /is to be restarted because its guest panicked/);
    assert.deepEqual(world.powerOffs, []);
    const began = await tasks.count(world.store.db);
    await bed.pass(10_000);
    assert.equal(await tasks.count(world.store.db), began);
  });

  promised('is started elsewhere when it cannot start where it was', async (world, bed) => {
    const { h1 } = world.tasks;
    const vm = await world.runningVm(h1);
    let failed = false;
    world.tasks.hosts.fate = ({ method }) => {
      if (method !== 'vm.start' || failed) return { kind: 'work' };
      failed = true;
      return { kind: 'throw', error: new KvasirError('host-failed', { reason: 'no memory' }), after: false };
    };
    await bed.crash(h1, vm.id, 'crashed');
    await bed.until(
      'it runs elsewhere',
      async () => (await world.vm(vm.id)).hostId !== h1 && (await world.runs(vm.id)),
    );
  });

  promised('and is deleted leaves no incident open', async (world, bed) => {
    const { h1 } = world.tasks;
    const vm = await world.runningVm(h1);
    world.tasks.hosts.fate = ({ method }) =>
      method === 'vm.start'
        ? { kind: 'throw', error: new KvasirError('host-failed', { reason: 'no' }), after: false }
        : { kind: 'work' };
    await bed.crash(h1, vm.id, 'crashed');
    await bed.until('a try failed', async () => (await haRestarts.count(world.store.db, { attempts: 1 })) === 1);
    const seams = { clock: world.clock, ids: systemIds };
    const row = await world.vm(vm.id);
    await world.store.transaction((tx) => enqueueVmDelete(tx, seams, row, { purge: true, userId: null }));
    await bed.until('it is gone', async () => (await vms.find(world.store.db, { id: vm.id })) === undefined);
    assert.equal(await haIncidents.count(world.store.db, { closedAt: null }), 0);
    assert.match(await world.story(), /It is over because it was deleted/);
  });

  promised('waits longer each time, and is left to an operator in the end', async (world, bed) => {
    const { h1, clusterId } = world.tasks;
    await world.store.transaction((tx) => setClusterHa(tx, clusterId, { policy: { vmFailureLimit: 2 } }));
    const vm = await world.runningVm(h1);
    for (const _ of [1, 2]) {
      await bed.crash(h1, vm.id, 'crashed');
      await bed.until('it runs again', () => world.runs(vm.id, h1));
      await bed.until('it is over', async () => (await vmFailures.count(world.store.db, { endedAt: null })) === 0);
    }
    const [first, second] = await haRestarts.select(world.store.db, {}, 'createdAt');
    assert.ok(second!.notBefore >= first!.createdAt + 5000, 'the second restart waits for its pause');
    await bed.crash(h1, vm.id, 'crashed');
    await bed.until('an operator is called', async () => (await world.eventKinds()).includes('ha.vm-left-failed'));
    await bed.pass(20_000);
    assert.equal((await world.vm(vm.id)).state, 'crashed');
  });

  promised('is left alone when it is not to be restarted, or was shut down', async (world, bed) => {
    const { h1 } = world.tasks;
    const unwatched = await world.runningVm(h1);
    const alarmed = await world.runningVm(h1);
    const off = await world.runningVm(h1, { desiredState: 'stopped' });
    await world.store.transaction(async (tx) => {
      await setVmHa(tx, unwatched.id, { enabled: false });
      await setVmHa(tx, alarmed.id, { onFailure: 'alarm' });
    });
    for (const { id } of [unwatched, alarmed, off]) await bed.crash(h1, id, 'crashed');
    await bed.pass(10_000);
    assert.equal(await tasks.count(world.store.db), 0);
    assert.deepEqual(
      (await vmFailures.select(world.store.db)).map(({ vmId, reaction }) => [vmId, reaction]),
      [[alarmed.id, 'alarm']],
    );
  });

  promised('whose guest hangs or lets its watchdog run out is reset where it runs', async (world, bed) => {
    const { h1 } = world.tasks;
    const vm = await world.runningVm(h1);
    bed.signs(h1, vm.id, { watchdogFired: false, quietMs: 60_000 });
    await bed.pass(5000);
    assert.equal(await tasks.count(world.store.db), 0);
    bed.signs(h1, vm.id, { watchdogFired: false, quietMs: 130_000 });
    await bed.until(
      'it is reset',
      async () => (await tasks.count(world.store.db, { kind: 'vm-reset', state: 'succeeded' })) === 1,
    );
    bed.signs(h1, vm.id, { watchdogFired: false, quietMs: null });
    await bed.until('it is over', async () => (await vmFailures.count(world.store.db, { endedAt: null })) === 0);
    const [failure] = await vmFailures.select(world.store.db);
    assert.deepEqual([failure?.kind, failure?.reaction], ['guest-hung', 'reset']);
  });
});

class Bed {
  readonly #world: HaWorld;
  readonly #signs = new Map<string, { hostId: string; report: DomainReport }>();

  constructor(world: HaWorld) {
    this.#world = world;
  }

  async crash(hostId: string, vmId: string, reason: string): Promise<void> {
    const domain = this.#world.tasks.hosts.host(hostId).domains.get(vmId)!;
    domain.state = 'crashed';
    await this.#world.report(hostId, vmId);
    await this.#world.store.transaction((tx) => vms.set(tx, { id: vmId }, { stateReason: reason }));
  }

  signs(hostId: string, vmId: string, signs: GuestSigns): void {
    const base = { name: vmId, managed: true, state: 'running', reason: null, incoming: false } as const;
    this.#signs.set(vmId, { hostId, report: { vmId, ...base, startedAtMs: 1, guest: null, drift: [], signs } });
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1000) {
      await this.look();
      await this.#world.pass(1000);
    }
  }

  async until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
    for (let round = 0; round < 120; round += 1) {
      if (await isTrue()) return;
      await this.pass(1000);
    }
    assert.fail(`${what} did not come true:\n${await this.#world.story()}`);
  }

  async look(): Promise<void> {
    const { store, clock, controller } = this.#world;
    const epoch = await currentEpoch(store.db);
    await lookAtVms({
      store,
      clock,
      ids: systemIds,
      withoutLife: () => this.#signs.values(),
      epoch: () => epoch,
      nudge: () => controller.nudge(),
    });
  }
}
