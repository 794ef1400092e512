import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Clock } from '@kvasir/api/clock.ts';
import { fakeDrivers } from '../testing/fake-drivers.ts';
import type { HostContext } from './handler.ts';
import { requireLeases } from './liveness.ts';

it('a start waits for its lease no longer when the clock is set back meanwhile', async () => {
  const drivers = fakeDrivers();
  drivers.liveness.lost.add('pool');
  let sleptMs = 0;
  const clock: Pick<Clock, 'now' | 'sleep'> = {
    now: () => 1_000_000_000 - 100 * sleptMs,
    sleep: async (ms) => {
      sleptMs += ms;
      assert.ok(sleptMs < 60_000, 'it waits for ever');
    },
  };
  const host = { clock, drivers, served: { lists: { pools: [] } } } as unknown as HostContext;
  await assert.rejects(requireLeases(host, { disks: [{ poolId: 'pool' }] }), { code: 'host-failed' });
  assert.equal(sleptMs, 5000);
});
