/** A domain comes to a host only while it holds the leases of its disks: others may take over what runs there without them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { migrationReady } from '@kvasir/api/agent/vm.ts';
import { fakeDrivers } from '../testing/fake-drivers.ts';
import { FakeLiveness } from '../testing/fake-liveness.ts';
import type { HandlerCall, HostContext } from './handler.ts';
import { migrationHandlers } from './migration.ts';

const id = (digit: number): string => `00000000-0000-4000-8000-00000000000${digit}`;

test('a destination that has lost the lease of a pool lets no domain with a disk there come', async () => {
  const liveness = new FakeLiveness();
  let nowMs = 0;
  const clock = { now: () => nowMs, sleep: async (ms: number) => void (nowMs += ms) };
  const served = { lists: { pools: [], images: [] } };
  const host = { drivers: { ...fakeDrivers(), liveness }, served, clock } as unknown as HostContext;
  const { run } = migrationHandlers(host).find(({ method }) => method.name === migrationReady.name)!;
  const ready = (poolIds: string[]) => run({ vmId: id(1), poolIds }, {} as HandlerCall);
  assert.deepEqual(await ready([id(2)]), {});
  liveness.lost.add(id(2));
  await assert.rejects(ready([id(3), id(2)]), { code: 'host-failed' });
  assert.deepEqual(await ready([id(3)]), {}, 'another pool');
});
