/** What others need starts first: `web` waits for `db`, and the important ones come before the rest, one at a time if told so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '@kvasir/lab/processes.ts';
import { useHaCloud } from './testing/high-availability.ts';

describe('restarts after a power failure', { timeout: 300_000 }, () => {
  const ha = useHaCloud();

  it('come by priority, and a VM after those that it depends on', async () => {
    const { cloud } = ha();
    await ha().policy({ maxParallelRestarts: 1 });
    const [web, db, batch] = await ha().vmsOn('h2', ['web', 'db', 'batch']);
    // The one that waits is the more important one: that alone would have it start first.
    await cloud.kvasir('vm', 'update', 'web', '--ha-priority', 'high', '--ha-depends-on', 'db');
    await cloud.kvasir('vm', 'update', 'batch', '--ha-priority', 'low');
    const explained = await cloud.kvasir<{ readonly after: readonly string[] }>('ha', 'explain', 'web');
    assert.deepEqual(explained.after, ['db']);
    const drill = await cloud.kvasir<Drill>('ha', 'drill', 'h2');
    assert.deepEqual(inOrder(drill), ['db', 'web', 'batch']);
    await cloud.lab.powerOff('h2');
    for (const vm of [db!, web!, batch!]) await ha().untilRunsElsewhere(vm, 'h2', 120_000);
    const [dbAt, webAt, batchAt] = [db!, web!, batch!].map(({ id }) => ha().watch.of(id)[1]!.sinceMs);
    assert.ok(dbAt! < webAt!, 'db before web, which needs it');
    // While web waits for the guest of db, the less important one need not.
    assert.ok(dbAt! < batchAt!, 'db before what is less important');
    const timeline = await ha().timeline('h2');
    const at = (message: RegExp): number => timeline.find((entry) => message.test(entry.message))?.sinceMs ?? NaN;
    assert.ok(at(/^db is back/) <= at(/^web starts on/), await ha().story('h2'));
    await until('the last one is over', 60_000, async () =>
      (await ha().timeline('h2')).some(({ message }) => message.startsWith('batch is back')),
    );
    ha().assertNeverTwice();
  });
});

interface Drill {
  readonly restarts: readonly { readonly vmName: string; readonly position: number | null }[];
}

function inOrder({ restarts }: Drill): string[] {
  return restarts.toSorted((a, b) => (a.position ?? 99) - (b.position ?? 99)).map(({ vmName }) => vmName);
}
