/** What a host reports of pools and of its network when it changes: the manager ends up with what is so, however it was told before. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { NetworkDriver } from './drivers/network.ts';
import type { StorageDriver } from './drivers/storage.ts';
import { FakeTime } from './lease/testing/fake-time.ts';
import { NetworkWatch } from './network-watch.ts';
import { PoolWatch } from './pool-watch.ts';

function pool(reachable: boolean, freeMib = 500): PoolReport {
  return { poolId: 'p', reachable, reason: reachable ? null : 'it does not answer', totalMib: 1000, freeMib };
}

function network(address: string): NetworkChanged {
  return { nics: [], uplinks: [], tunnelAddress: address };
}

it('pools are told when they change in a way that matters, and not otherwise', async () => {
  const time = new FakeTime();
  let now = pool(true);
  const told: PoolReport[][] = [];
  const storage = { report: async () => [now] } as unknown as StorageDriver;
  const watch = new PoolWatch(time, storage, (pools) => told.push(pools));
  await time.pass(10_000);
  now = pool(true, 505);
  await time.pass(20_000);
  now = pool(true, 400);
  await time.pass(10_000);
  now = pool(false);
  await time.pass(20_000);
  assert.deepEqual(told, [[pool(true)], [pool(true, 400)], [pool(false)]]);
  watch.close();
});

it('pools that were told in another way are told again, changed or not: the other telling may be older', async () => {
  const time = new FakeTime();
  const told: PoolReport[][] = [];
  const storage = { report: async () => [pool(true)] } as unknown as StorageDriver;
  const watch = new PoolWatch(time, storage, (pools) => told.push(pools));
  await time.pass(10_000);
  watch.toldOtherwise();
  await time.pass(30_000);
  assert.deepEqual(told, [[pool(true)], [pool(true)]]);
  watch.close();
});

it('the network is told after an introduction and when it changes', async () => {
  const time = new FakeTime();
  let now = network('10.0.0.1');
  const told: NetworkChanged[] = [];
  const driver = { report: async () => now } as unknown as NetworkDriver;
  const watch = new NetworkWatch(time, driver, (report) => told.push(report));
  await time.pass(10_000);
  // The introduction tells of a change that is over before the next look.
  watch.toldOtherwise();
  await time.pass(4000);
  now = network('10.0.0.2');
  await time.pass(4000);
  assert.deepEqual(told, [network('10.0.0.1'), network('10.0.0.1'), network('10.0.0.2')]);
  watch.close();
});
