import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { HypervisorWatch, silentAfterMs } from './hypervisor-watch.ts';
import { FakeTime } from './lease/testing/fake-time.ts';
import { StartNotes } from './start-notes.ts';
import { domainReport, fakeDrivers } from './testing/fake-drivers.ts';

const seen = domainReport('00000000-0000-4000-8000-000000000001', { state: 'running' });
const inventory = { hostname: 'h1' } as never;

function open() {
  const clock = new FakeTime();
  const drivers = fakeDrivers();
  drivers.hypervisor.put(seen);
  const starts = new StartNotes(drivers.liveness);
  const state = { inventory: async () => inventory, back: 0 };
  const watch = new HypervisorWatch({
    ...{ clock, drivers, starts, log: () => {} },
    inventory: () => state.inventory(),
    lastSeen: () => [{ ...seen, reason: 'as it was last seen' }],
    onBack: async () => void (state.back += 1),
  });
  const hang = (): PromiseWithResolvers<void> => {
    const hanging = Promise.withResolvers<void>();
    drivers.hypervisor.answering = hanging.promise;
    state.inventory = async () => {
      await hanging.promise;
      return inventory;
    };
    return hanging;
  };
  watch.start();
  return { clock, drivers, starts, watch, state, hang };
}

describe('a hypervisor', () => {
  it('that answers is never silent', async () => {
    const { clock, watch } = open();
    await clock.pass(10 * silentAfterMs);
    assert.equal(watch.silentMs, null);
    watch.requireAnswers();
    watch.close();
  });

  it('that hangs is silent after a while, and until it answers', async () => {
    const { clock, watch, hang, state } = open();
    await clock.pass(10_000);
    const hanging = hang();
    await clock.pass(silentAfterMs - 1000);
    assert.equal(watch.silentMs, null);
    await clock.pass(60_000);
    assert.ok((watch.silentMs ?? 0) >= 55_000, `${watch.silentMs}`);
    assert.throws(() => watch.requireAnswers(), { code: 'hypervisor-silent' });
    hanging.resolve();
    await clock.pass(0);
    assert.equal(watch.silentMs, null);
    assert.equal(state.back, 1);
    watch.requireAnswers();
    watch.close();
  });

  it('that is not there is as silent, and is found again', async () => {
    const { clock, drivers, watch, state } = open();
    await clock.pass(10_000);
    const gone = Promise.reject(new KvasirError('host-failed', { reason: 'no connection' }));
    gone.catch(() => {});
    drivers.hypervisor.answering = gone;
    await clock.pass(silentAfterMs + 5000);
    assert.notEqual(watch.silentMs, null);
    drivers.hypervisor.answering = Promise.resolve();
    await clock.pass(5000);
    assert.deepEqual([watch.silentMs, state.back], [null, 1]);
    watch.close();
  });

  it('lets nobody wait for a call that hangs in it, and the call goes on', async () => {
    const { clock, watch, hang } = open();
    await clock.pass(10_000);
    hang();
    const call = Promise.withResolvers<string>();
    const waited = watch.unlessSilent(call.promise);
    waited.catch(() => {});
    await clock.pass(silentAfterMs + 5000);
    await assert.rejects(waited, { code: 'hypervisor-silent' });
    const answered = watch.unlessSilent(Promise.resolve('done already'));
    assert.equal(await answered, 'done already');
    call.resolve('late');
    assert.equal(await call.promise, 'late');
    watch.close();
  });

  it('keeps no host from introducing itself: with what was last seen', async () => {
    const { clock, watch, hang } = open();
    const first = await watch.describe();
    assert.deepEqual([first.inventory, first.domains], [inventory, [seen]]);
    hang();
    const soon = watch.describe();
    await clock.pass(6000);
    assert.equal((await soon).domains[0]?.reason, 'as it was last seen');
    await clock.pass(silentAfterMs);
    assert.equal((await watch.describe()).domains[0]?.reason, 'as it was last seen');
    watch.close();
  });

  it('that never answered leaves nothing to introduce', async () => {
    const { clock, watch, hang } = open();
    hang();
    const described = watch.describe();
    described.catch(() => {});
    await clock.pass(6000);
    await assert.rejects(described, { code: 'hypervisor-silent' });
    watch.close();
  });

  it('that answers is done with starts whose answer was lost, but not with those under way', async () => {
    const { clock, drivers, starts, watch, hang } = open();
    await clock.pass(10_000);
    const hanging = hang();
    await clock.pass(5000);
    for (const vmId of ['lost', 'under way', 'later']) await starts.begin(vmId, []);
    starts.givenUp('lost');
    await clock.pass(60_000);
    assert.deepEqual([...drivers.liveness.starts], ['lost', 'under way', 'later']);
    // The question that is answered now was asked before: it says nothing of these.
    starts.givenUp('later');
    hanging.resolve();
    await clock.pass(0);
    assert.ok(drivers.liveness.starts.has('later'));
    await clock.pass(10_000);
    assert.deepEqual([...drivers.liveness.starts], ['under way']);
    await starts.answered('under way');
    assert.equal(drivers.liveness.starts.size, 0);
    watch.close();
  });
});
