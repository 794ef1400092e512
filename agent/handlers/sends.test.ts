import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Sends } from './sends.ts';

const never = new AbortController().signal;
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

test('an end waits for the sends of its VM, and leaves those of others alone', async () => {
  const sends = new Sends(systemClock);
  const mine = assert.rejects(sends.run('a', never, untilAborted), { code: 'cancelled' });
  const other = Promise.withResolvers<string>();
  const others = sends.run('b', never, () => other.promise);
  await sends.end('a');
  await mine;
  await sends.end('a');
  other.resolve('arrived');
  assert.equal(await others, 'arrived');
});

test("a send still ends by its own call's signal", async () => {
  const cancel = new AbortController();
  const sending = new Sends(systemClock).run('a', cancel.signal, untilAborted);
  cancel.abort(new KvasirError('cancelled'));
  await assert.rejects(sending, { code: 'cancelled' });
});

test('an end that cannot be told in time says so', async () => {
  const sends = new Sends({ ...systemClock, sleep: () => Promise.resolve() });
  void sends.run('a', never, () => new Promise(() => {}));
  await assert.rejects(sends.end('a'), { code: 'timeout' });
});
