/**
 * What every LivenessDriver keeps, whatever renews the leases below it. Each world has two hosts with one shared pool and a
 * second one that is never cut; time is real, terms are short.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LeaseSeen, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import type { LivenessDriver, LivenessEvent } from './liveness.ts';

export interface LivenessHost {
  readonly hostId: string;
  readonly driver: LivenessDriver;
  /** Where it finds the pools. */
  readonly places: readonly { readonly poolId: string; readonly path: string }[];
  /** Starts a VM with a disk in the pool; answers its id. */
  startVm(poolId: string): Promise<string>;
  isRunning(vmId: string): boolean;
  cutStorage(): Promise<void>;
  healStorage(): Promise<void>;
  killKeeper(): Promise<void>;
  /** The agent is killed and started again. */
  restartAgent(): Promise<void>;
}

export interface LivenessWorld {
  readonly hosts: readonly [LivenessHost, LivenessHost];
  /** Lost on one host by `cutStorage`. */
  readonly poolId: string;
  readonly otherPoolId: string;
  /** Long enough for the machine to keep up with. */
  readonly terms: { readonly renewEveryMs: number; readonly killAfterMs: number; readonly leaseMs: number };
  close(): Promise<void>;
}

export function contractPlan(world: LivenessWorld, own: 0 | 1, generation = 1): LivenessPlan {
  const peer = world.hosts[own === 0 ? 1 : 0];
  return {
    generation,
    ...world.terms,
    pools: world.hosts[own].places.map(({ poolId }) => ({ poolId, slot: own })),
    peers: [{ hostId: peer.hostId, name: 'peer', address: '127.0.0.1', slot: 1 - own }],
    probePort: null,
    probeKey: null,
  };
}

async function until<T>(what: string, condition: () => T | undefined | false): Promise<T> {
  for (const end = performance.now() + 20_000; performance.now() < end; await delay(20)) {
    const value = condition();
    if (value !== undefined && value !== false) return value;
  }
  throw new Error(`${what}: not within a minute`);
}

export function livenessContract(name: string, open: () => Promise<LivenessWorld>): void {
  describe(`liveness: ${name}`, () => {
    let world: LivenessWorld;
    let a: LivenessHost;
    let b: LivenessHost;
    const seen = (by: LivenessHost, of: LivenessHost): LeaseSeen | undefined =>
      by.driver.report()?.seen.find((lease) => lease.hostId === of.hostId && lease.poolId === world.poolId);
    const both = async (): Promise<void> => {
      await until('both leases held', () => [a, b].every((host) => host.driver.leaseOf(world.poolId) === 'held'));
    };

    before(async () => {
      world = await open();
      [a, b] = world.hosts;
      await a.driver.open();
      await b.driver.open();
    });
    after(() => world.close());

    it('without a plan there is no report, and no lease is asked for', () => {
      assert.equal(a.driver.report(), null);
      assert.equal(a.driver.leaseOf(world.poolId), 'none');
    });

    it('with a plan each renews, and sees the other renew', async () => {
      await a.driver.apply(contractPlan(world, 0), a.places);
      await b.driver.apply(contractPlan(world, 1), b.places);
      await both();
      const first = await until('b sees a', () => seen(b, a));
      await until('the counter grows', () => (seen(b, a)?.counter ?? 0) > first.counter + 2);
      assert.ok((seen(b, a)?.unchangedMs ?? Number.POSITIVE_INFINITY) < world.terms.killAfterMs);
      const own = a.driver.report()?.own.find((pool) => pool.poolId === world.poolId);
      assert.equal(own?.error, null);
      assert.equal(own?.lost, false);
      assert.equal(seen(b, a)?.leaseMs, world.terms.leaseMs);
      assert.equal(seen(b, a)?.bootId, a.driver.report()?.bootId);
    });

    it('a pool that the host does not serve is reported, not renewed', async () => {
      const poolId = randomUUID();
      const plan = contractPlan(world, 0, 2);
      await a.driver.apply({ ...plan, pools: [...plan.pools, { poolId, slot: 0 }] }, a.places);
      const own = await until('its report', () => a.driver.report()?.own.find((pool) => pool.poolId === poolId));
      assert.equal(own.renewedMsAgo, null);
      assert.match(own.error ?? '', /does not serve/);
      await a.driver.apply(contractPlan(world, 0, 3), a.places);
    });

    it('a pool that the host serves only after the plan is renewed from then on', async () => {
      await a.driver.apply(contractPlan(world, 0, 4), []);
      await until('no lease', () => a.driver.leaseOf(world.poolId) === 'none');
      await a.driver.serve(a.places);
      await both();
    });

    it('a keeper that dies is started again, and its counter goes on', async () => {
      const before = (await until('b sees a', () => seen(b, a))).counter;
      await a.killKeeper();
      await until('renewed again', () => (seen(b, a)?.counter ?? 0) > before + 2);
      await both();
    });

    it('the plan outlives the agent, and leases are renewed while it is away', async () => {
      const before = (await until('b sees a', () => seen(b, a))).counter;
      await a.restartAgent();
      await until('renewed on', () => (seen(b, a)?.counter ?? 0) > before + 2);
      await both();
    });

    it('a start without an answer is ended with the VMs of its pools, and is kept over a restart of the agent', async () => {
      const [vmId, otherId] = [randomUUID(), randomUUID()];
      await a.driver.startPending(vmId, [world.poolId]);
      await a.driver.startPending(otherId, [world.otherPoolId]);
      await a.restartAgent();
      assert.deepEqual([...(await a.driver.pendingStarts())].sort(), [vmId, otherId].sort());
      await both();
      await a.cutStorage();
      await until('its end', () => a.driver.endedBecause(vmId) === 'storage lost');
      assert.deepEqual(await a.driver.pendingStarts(), [otherId]);
      assert.equal(a.driver.endedBecause(otherId), null);
      await a.driver.startSettled(otherId);
      assert.deepEqual(await a.driver.pendingStarts(), []);
      await a.healStorage();
      await both();
      a.driver.forget(vmId);
    });

    it('a host that lost a storage ends its VMs there before its lease is over, and only those', async () => {
      const events: LivenessEvent[] = [];
      const stop = a.driver.watch((event) => events.push(event));
      const lost = await a.startVm(world.poolId);
      const kept = await a.startVm(world.otherPoolId);
      await a.cutStorage();
      await until('the end of the VM', () => !a.isRunning(lost));
      assert.ok((seen(b, a)?.unchangedMs ?? 0) < world.terms.leaseMs, 'before others may take it over');
      await until('the lease is over', () => (seen(b, a)?.unchangedMs ?? 0) >= world.terms.leaseMs);
      assert.ok(a.isRunning(kept));
      assert.equal(a.driver.leaseOf(world.poolId), 'lost');
      assert.equal(a.driver.leaseOf(world.otherPoolId), 'held');
      assert.equal(a.driver.endedBecause(lost), 'storage lost');
      assert.equal(a.driver.endedBecause(kept), null);
      assert.ok(events.some((event) => event.kind === 'storage-lost' && event.vmIds.includes(lost)));
      assert.equal(a.driver.report()?.own.find((pool) => pool.poolId === world.poolId)?.lost, true);

      const late = await a.startVm(world.poolId);
      await until('the end of one that started all the same', () => !a.isRunning(late));

      const before = events.length;
      await a.healStorage();
      await until('the storage is back', () =>
        events.slice(before).some((event) => event.kind === 'storage-back' && event.poolId === world.poolId),
      );
      assert.equal(a.driver.leaseOf(world.poolId), 'held');
      const again = await a.startVm(world.poolId);
      const { counter } = await until('b sees a', () => seen(b, a));
      await until('renewals', () => (seen(b, a)?.counter ?? 0) > counter + 5);
      assert.ok(a.isRunning(again));
      a.driver.forget(lost);
      assert.equal(a.driver.endedBecause(lost), null);
      stop();
    });

    it('a host that goes down has taken its promises back before, and nobody starts what kept them again', async () => {
      await until('b sees a', () => seen(b, a));
      await a.driver.close();
      assert.equal(await a.driver.end(10_000), true);
      await until('b sees it unguarded, or no more', () => seen(b, a)?.guarded !== true);
      await delay(2 * world.terms.renewEveryMs);
      const last = seen(b, a)?.counter;
      await delay(world.terms.leaseMs);
      assert.equal(seen(b, a)?.counter, last);
      assert.ok(a.isRunning(await a.startVm(world.poolId)), 'the host was not reset');
    });
  });
}
