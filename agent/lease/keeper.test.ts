/** What others may believe of a guarded lease, on a clock of its own: VMs are gone or the host is reset before the lease is over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { longestTimeout, marginOf } from './keeper.ts';
import { place, planOf, Rig, terms } from './testing/keeper-rig.ts';

describe('a keeper', () => {
  it('says guarded only once the watchdog is armed, and pets it through a long quiet time', async () => {
    const rig = new Rig();
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(60_000);
    assert.equal(rig.slots.get(0)?.guarded, true);
    assert.ok((rig.slots.get(0)?.counter ?? 0) >= 59);
    assert.equal(rig.resetAtMs, null);
    assert.deepEqual(rig.vms, ['vm1']);
    keeper.kill();
  });

  it('without a watchdog keeps the lease, but says that nobody may rely on it', async () => {
    const rig = new Rig();
    const keeper = rig.keeper({ watchdog: false });
    keeper.apply(planOf(), [place]);
    await rig.time.pass(5000);
    assert.equal(rig.slots.get(0)?.guarded, false);
    assert.equal(keeper.report().guard, 'none');
    keeper.kill();
  });

  for (const storage of ['hangs', 'fails'] as const) {
    it(`whose storage ${storage} ends its VMs in time, counted from the start of the last renewal, and is not reset`, async () => {
      const rig = new Rig();
      const keeper = rig.keeper();
      keeper.apply(planOf(), [place]);
      await rig.time.pass(10_500);
      rig.storage = storage;
      const lastMs = rig.renewals[place.poolId]!;
      await rig.time.pass(60_000);
      assert.ok(rig.endedAtMs !== null && rig.endedAtMs >= lastMs + terms.killAfterMs);
      assert.ok(rig.endedAtMs < lastMs + terms.leaseMs - marginOf(terms.leaseMs));
      assert.equal(rig.resetAtMs, null, 'a storage that is lost gets no host reset');
      assert.equal(keeper.report().own[0]?.lost, true);

      rig.heal();
      await rig.time.pass(10_000);
      assert.equal(keeper.report().own[0]?.lost, false);
      rig.vms = ['vm2'];
      await rig.time.pass(10_000);
      assert.deepEqual(rig.vms, ['vm2']);
      keeper.kill();
    });
  }

  it('that hiccups for less than that touches nobody', async () => {
    const rig = new Rig();
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(10_500);
    rig.storage = 'hangs';
    await rig.time.pass(4500);
    rig.heal();
    await rig.time.pass(30_000);
    assert.deepEqual([rig.vms, rig.endedAtMs, rig.resetAtMs], [['vm1'], null, null]);
    keeper.kill();
  });

  it('whose VMs cannot be ended lets the watchdog reset the host before the lease is over', async () => {
    const rig = new Rig();
    rig.killable = false;
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(10_500);
    rig.storage = 'hangs';
    const lastMs = rig.renewals[place.poolId]!;
    await rig.time.pass(20_000);
    assert.ok(rig.resetAtMs !== null && rig.resetAtMs <= lastMs + terms.leaseMs - marginOf(terms.leaseMs));
    keeper.kill();
  });

  it('that is killed at any moment, storage lost or not, has its host reset before the lease is over', async () => {
    for (let killedMs = 0; killedMs <= 5750; killedMs += 250) {
      const rig = new Rig();
      const keeper = rig.keeper();
      keeper.apply(planOf(), [place]);
      await rig.time.pass(10_500);
      rig.storage = 'hangs';
      const lastMs = rig.renewals[place.poolId]!;
      await rig.time.pass(killedMs);
      keeper.kill();
      await rig.time.pass(20_000);
      assert.ok(rig.resetAtMs !== null, `killed after ${killedMs} ms`);
      const inTime = rig.resetAtMs <= lastMs + terms.leaseMs - marginOf(terms.leaseMs);
      assert.ok(inTime || rig.vms.length === 0, `killed after ${killedMs} ms`);
    }
  });

  it('that starts after another of this boot counts from the other one’s last renewal', async () => {
    const rig = new Rig();
    const first = rig.keeper();
    first.apply(planOf(), [place]);
    await rig.time.pass(10_500);
    rig.storage = 'hangs';
    const lastMs = rig.renewals[place.poolId]!;
    await rig.time.pass(3000);
    first.kill();
    const second = rig.keeper();
    second.apply(planOf(), [place]);
    await rig.time.pass(20_000);
    assert.ok(rig.endedAtMs !== null && rig.endedAtMs < lastMs + terms.leaseMs - marginOf(terms.leaseMs));
    second.kill();
  });

  it('that starts when the promise of an earlier one is at its end does not keep the host from its reset', async () => {
    for (let killedMs = 0; killedMs <= 7750; killedMs += 250) {
      const rig = new Rig();
      rig.killable = false;
      const first = rig.keeper();
      first.apply(planOf(), [place]);
      await rig.time.pass(10_500);
      rig.storage = 'hangs';
      const lastMs = rig.renewals[place.poolId]!;
      await rig.time.pass(killedMs);
      first.kill();
      await rig.time.pass(200);
      const second = rig.keeper();
      second.apply(planOf(), [place]);
      await rig.time.pass(20_000);
      const inTime = rig.resetAtMs !== null && rig.resetAtMs <= lastMs + terms.leaseMs - marginOf(terms.leaseMs);
      assert.ok(inTime, `killed after ${killedMs} ms`);
      second.kill();
    }
  });

  it('stops only after its slot says that nobody may rely on it', async () => {
    const rig = new Rig();
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(10_500);
    rig.storage = 'hangs';
    let stopped = false;
    void keeper.stop().then(() => (stopped = true));
    await rig.time.pass(2000);
    assert.equal(stopped, false);
    assert.equal(rig.disarmed, 0);
    rig.heal();
    await rig.time.pass(5000);
    assert.ok(stopped);
    assert.equal(rig.slots.get(0)?.guarded, false);
    assert.equal(rig.disarmed, 1);
    assert.equal(rig.resetAtMs, null);
  });

  it('does not pet the watchdog by what was so before it was held up', async () => {
    const rig = new Rig();
    const keeper = rig.keeper();
    const early = { ...terms, killAfterMs: 3000 };
    keeper.apply(planOf(early), [place]);
    await rig.time.pass(10_500);
    rig.storage = 'hangs';
    rig.killable = false;
    const lastMs = rig.renewals[place.poolId]!;
    rig.onLog = () => (rig.heldUpMs = 3000);
    await rig.time.pass(20_000);
    assert.equal(rig.heldUpMs, 3000);
    assert.ok(rig.pettedAtMs + longestTimeout(early) <= lastMs + early.leaseMs - marginOf(early.leaseMs));
    keeper.kill();
  });

  it('promises nothing of which the next keeper would not know', async () => {
    const rig = new Rig();
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(5000);
    assert.equal(rig.slots.get(0)?.guarded, true);
    rig.keepsRenewals = false;
    await rig.time.pass(5000);
    assert.equal(rig.slots.get(0)?.guarded, false);
    assert.deepEqual([rig.disarmed, rig.resetAtMs, rig.vms], [1, null, ['vm1']]);
    rig.keepsRenewals = true;
    await rig.time.pass(30_000);
    assert.equal(rig.slots.get(0)?.guarded, true);
    keeper.kill();
  });

  it('takes its promise back in a pool that leaves the plan', async () => {
    const rig = new Rig();
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(5000);
    keeper.apply(planOf({ generation: 2, pools: [] }), []);
    await rig.time.pass(5000);
    assert.equal(rig.slots.get(0)?.guarded, false);
    assert.deepEqual(keeper.report().own, []);
    assert.deepEqual(rig.vms, ['vm1']);
    keeper.kill();
  });

  it('ends no VM where no lease was ever to be had', async () => {
    const rig = new Rig();
    rig.storage = 'unsupported';
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(60_000);
    assert.deepEqual([rig.vms, rig.resetAtMs], [['vm1'], null]);
    assert.equal(keeper.report().own[0]?.lost, false);
    keeper.kill();
  });

  it('told shorter terms keeps the stricter of both until its slot shows the new ones', async () => {
    const rig = new Rig();
    const keeper = rig.keeper();
    keeper.apply(planOf(), [place]);
    await rig.time.pass(10_500);
    rig.storage = 'hangs';
    const lastMs = rig.renewals[place.poolId]!;
    keeper.apply(planOf({ generation: 2, killAfterMs: 30_000, leaseMs: 40_000 }), [place]);
    await rig.time.pass(20_000);
    assert.ok(rig.endedAtMs !== null && rig.endedAtMs < lastMs + terms.leaseMs);
    keeper.kill();
  });

  it('gives a watchdog as much time as the lease has room for', () => {
    assert.equal(longestTimeout({ leaseMs: 9000 }), 4050);
  });
});
