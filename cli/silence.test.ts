/** A watch whose connection falls silent without closing is opened anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { followEvents } from '@kvasir/api/event-follow.ts';

test('a connection that says nothing for a minute is given up', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const opened: number[] = [];
  const events = followEvents(
    { after: 4 },
    {
      latest: () => Promise.reject(new Error('not asked')),
      mayRetry: () => true,
      open: async (after, signal) => {
        opened.push(after);
        return bodies(opened.length, signal);
      },
    },
  );
  const next = events.next();
  // One tick of the clock for the silence, one for the pause before the next connection.
  for (let tick = 0; tick < 2; tick += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    context.mock.timers.tick(60_000);
  }
  assert.equal((await next).value?.seq, 5);
  assert.deepEqual(opened, [4, 4]);
  await events.return(undefined);
});

async function* bodies(connection: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (connection > 1) yield Buffer.from('data: {"seq":5}\n\n');
  await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
}
