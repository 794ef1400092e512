/** Watching events: each once, in order, without a gap, whatever happens to the connection. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Event } from '@kvasir/api/resources/event.ts';
import { type FakeManager, startFakeManager, taken } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';

function event(seq: number): Event {
  const nothing = { target: null, projectId: null, taskId: null, userId: null, details: {} };
  return {
    ...nothing,
    seq,
    at: '2026-01-01T00:00:00.000Z',
    kind: 'vm.state-changed',
    severity: 'info',
    message: `e${seq}`,
  };
}

const block = (seq: number) => `id: ${seq}\ndata: ${JSON.stringify(event(seq))}\n\n`;

/** Each connection gets two more events, then a piece of a third, then is cut. */
function cutAfterTwo(manager: FakeManager, seen: string[]) {
  manager.answer('event.list', () => ({ items: [event(10)], nextCursor: null }));
  manager.answer('event.watch', ({ headers }, response) => {
    const after = Number(headers['last-event-id']);
    seen.push(String(after));
    response.setHeader('content-type', 'text/event-stream');
    // An event again that was already seen, a heartbeat, and bytes cut in the middle of a block.
    response.write(
      `${block(after)}: heartbeat\n\n${block(after + 1)}${block(after + 2)}${block(after + 3).slice(0, 20)}`,
      () => response.destroy(),
    );
    return taken;
  });
}

test('the client reconnects with the last id and yields each event once', async () => {
  await using manager = await startFakeManager();
  const connections: string[] = [];
  cutAfterTwo(manager, connections);
  const got: number[] = [];
  const lost: string[] = [];
  const client = createClient({ baseUrl: manager.url });
  for await (const { seq } of client.watchEvents({ onReconnect: (cause) => lost.push(cause.message) })) {
    got.push(seq);
    if (got.length === 5) break;
  }
  assert.deepEqual(got, [11, 12, 13, 14, 15]);
  assert.deepEqual(connections, ['10', '12', '14'], 'from now on means: after the newest event');
  assert.equal(lost.length, 2);
});

test('an answer that trying again would not change ends the watch', async () => {
  await using manager = await startFakeManager();
  let calls = 0;
  manager.answer('event.watch', (_asked, response) => {
    calls += 1;
    if (calls === 2) return new KvasirError('not-leader');
    if (calls === 3) return new KvasirError('unauthenticated');
    response.end(block(1));
    return taken;
  });
  const got: number[] = [];
  await assert.rejects(
    async () => {
      for await (const { seq } of createClient({ baseUrl: manager.url }).watchEvents({ after: 0 })) got.push(seq);
    },
    (error: unknown) => error instanceof KvasirError && error.code === 'unauthenticated',
  );
  assert.deepEqual(got, [1]);
  assert.equal(calls, 3);
});

/** After what it has the events of two hours are gone. */
function forgetful(manager: FakeManager) {
  manager.answer('event.watch', ({ query }, response) => {
    const after = Number(query.after);
    const gap = { after, next: 12 };
    response.end(after < 11 ? `id: 11\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n${block(12)}` : block(after + 1));
    return taken;
  });
}

test('a gap is told before the events after it, and is not asked for again', async () => {
  await using manager = await startFakeManager();
  forgetful(manager);
  const seen: unknown[] = [];
  const onGap = (gap: unknown) => void seen.push(gap);
  for await (const { seq } of createClient({ baseUrl: manager.url }).watchEvents({ after: 4, onGap })) {
    seen.push(seq);
    if (seq === 14) break;
  }
  assert.deepEqual(seen, [{ after: 4, next: 12 }, 12, 13, 14]);
});

test('a gap ends a watch that cares for none', async () => {
  await using manager = await startFakeManager();
  forgetful(manager);
  const watch = createClient({ baseUrl: manager.url }).watchEvents({ after: 4 });
  await assert.rejects(watch.next(), (error: unknown) => {
    assert.ok(error instanceof KvasirError && error.code === 'invalid-request');
    assert.match(error.message, /events 5 to 11 are no longer kept/);
    return true;
  });
  assert.equal(manager.requests.length, 1);
});

test('what the manager says of how far it is counts after the next connection', async () => {
  await using manager = await startFakeManager();
  const asked: unknown[] = [];
  manager.answer('event.watch', ({ query }, response) => {
    asked.push(query.after);
    response.end(asked.length === 1 ? ': heartbeat\nid: 40\n\n' : block(41));
    return taken;
  });
  assert.equal((await createClient({ baseUrl: manager.url }).watchEvents({ after: 4 }).next()).value?.seq, 41);
  assert.deepEqual(asked, ['4', '40']);
});

test('kvasir event list --follow says which events are missing', async () => {
  await using manager = await startFakeManager();
  forgetful(manager);
  const interruption = new AbortController();
  const { stdout, stderr } = await runCli(['event', 'list', '--follow', '--after', '4'], {
    env: { KVASIR_URL: manager.url },
    interrupted: interruption.signal,
    onOutput: () => interruption.abort(),
  });
  assert.match(stdout, /^12 /);
  assert.equal(stderr, 'events 5 to 11 are missing: the manager no longer keeps them\n');
});

test('kvasir event list --follow prints each event as it comes', async () => {
  await using manager = await startFakeManager();
  cutAfterTwo(manager, []);
  const interruption = new AbortController();
  let text = '';
  const { stdout } = await runCli(['event', 'list', '--follow', '--after', '3'], {
    env: { KVASIR_URL: manager.url },
    interrupted: interruption.signal,
    onOutput: (piece) => {
      text += piece;
      if (text.split('\n').length > 3) interruption.abort();
    },
  });
  const lines = stdout.split('\n').slice(0, 3);
  assert.deepEqual(
    lines,
    [4, 5, 6].map((seq) => `${seq} 2026-01-01 00:00:00Z info vm.state-changed: e${seq}`),
  );
  assert.deepEqual(
    manager.requests.filter((asked) => asked.operation === 'event.list'),
    [],
  );
});

test('without --follow the log is listed', async () => {
  await using manager = await startFakeManager();
  manager.answer('event.list', () => ({ items: [event(1)], nextCursor: null }));
  const { stdout } = await runCli(['event', 'list'], { env: { KVASIR_URL: manager.url } });
  assert.match(stdout, /^SEQ +AT +SEVERITY/);
});
