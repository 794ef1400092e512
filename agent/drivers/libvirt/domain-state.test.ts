import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { waitFor } from './domain-state.ts';

const never = (): Promise<boolean> => new Promise(() => {});

test('waiting ends in time, also when the question hangs', { timeout: 10_000 }, async () => {
  const client = new EventEmitter();
  const started = performance.now();
  assert.equal(await waitFor(client as unknown as LibvirtClient, 'vm', never, { timeoutMs: 20 }), false);
  assert.ok(performance.now() - started >= 19);
  assert.equal(client.listenerCount('event'), 0);
});

test('waiting can be cancelled, also when the question hangs', { timeout: 10_000 }, async () => {
  const abort = new AbortController();
  const options = { timeoutMs: 100_000, signal: abort.signal };
  const waiting = waitFor(new EventEmitter() as unknown as LibvirtClient, 'vm', never, options);
  abort.abort();
  await assert.rejects(waiting, { code: 'cancelled' });
});

test('an event of the domain is followed by another look', { timeout: 10_000 }, async () => {
  const client = new EventEmitter();
  let looks = 0;
  const done = async (): Promise<boolean> => {
    looks += 1;
    if (looks === 1) queueMicrotask(() => client.emit('event', { uuid: 'vm' }));
    return looks > 1;
  };
  const started = performance.now();
  assert.equal(await waitFor(client as unknown as LibvirtClient, 'vm', done, { timeoutMs: 5000 }), true);
  assert.equal(looks, 2);
  assert.ok(performance.now() - started < 500);
});
