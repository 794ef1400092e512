import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KvasirError } from '../../errors.ts';
import { LinkClosedError, type LinkClock } from './link.ts';
import { memoryLinkPair } from './memory-link.ts';
import { Peer, type PeerHandlers } from './peer.ts';

const clock: LinkClock = {
  now: () => Date.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

function pair(handlers: Partial<PeerHandlers> = {}): {
  manager: Peer;
  agent: Peer;
  raw: ReturnType<typeof memoryLinkPair>;
} {
  const raw = memoryLinkPair();
  const none: PeerHandlers = { request: async () => null, notification: () => {} };
  return {
    raw,
    manager: new Peer(raw[0], clock, 'even', none),
    agent: new Peer(raw[1], clock, 'odd', { ...none, ...handlers }),
  };
}

describe('a call over a link', () => {
  it('is answered, also out of order', async () => {
    const first = Promise.withResolvers<unknown>();
    const { manager } = pair({ request: (method) => (method === 'slow' ? first.promise : Promise.resolve('fast')) });
    const slow = manager.call('slow', {});
    assert.equal(await manager.call('quick', {}), 'fast');
    first.resolve('slow');
    assert.equal(await slow, 'slow');
  });

  it('fails with the error of the other side, its code and details kept', async () => {
    const { manager } = pair({ request: () => Promise.reject(new KvasirError('not-found', { kind: 'vm', id: 'x' })) });
    await assert.rejects(manager.call('get', {}), { code: 'not-found', details: { kind: 'vm', id: 'x' } });
  });

  it('fails with host-failed when the other side failed in an unknown way', async () => {
    const { manager } = pair({ request: () => Promise.reject(new Error('boom')) });
    await assert.rejects(manager.call('get', {}), { code: 'host-failed', details: { reason: 'boom' } });
  });

  it('ends with the link', async () => {
    const { manager, agent } = pair({ request: () => new Promise(() => {}) });
    const call = manager.call('get', {});
    agent.close('power failure');
    await assert.rejects(call, LinkClosedError);
    await assert.rejects(manager.call('get', {}), LinkClosedError);
    assert.deepEqual(await manager.ended, { reason: 'power failure', breach: false });
  });

  it('ends after its time, and by its signal', async () => {
    const { manager } = pair({ request: () => new Promise(() => {}) });
    await assert.rejects(manager.call('get', {}, { timeoutMs: 1 }), { code: 'timeout' });
    const abort = new AbortController();
    const call = manager.call('get', {}, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await assert.rejects(call, /enough/);
  });
});

describe('a link', () => {
  for (const nonsense of [
    '{',
    '[]',
    '7',
    '{"jsonrpc":"1.0"}',
    '{"jsonrpc":"2.0","id":"a","method":"x"}',
    '{"jsonrpc":"2.0","id":1}',
  ]) {
    it(`is closed as a breach by ${nonsense}`, async () => {
      const { manager, raw } = pair();
      raw[1].sendText(nonsense);
      assert.equal((await manager.ended).breach, true);
    });
  }

  it('is closed as a breach by a notification that its handler refuses', async () => {
    const { manager, agent } = pair({
      notification: () => {
        throw new Error('heartbeat: /seq must be an integer');
      },
    });
    manager.notify('heartbeat', {});
    assert.deepEqual(await agent.ended, { reason: 'heartbeat: /seq must be an integer', breach: true });
  });
});
