import assert from 'node:assert/strict';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { LibvirtConnectionError } from './error.ts';
import { maxStreamBytes, type Message, messageStatus, messageType } from './message.ts';
import { procedures } from './procedures/table.ts';
import { openSession } from './session.ts';
import type { LibvirtStream } from './stream.ts';
import { FakeDaemon, type Peer } from './testing/fake-daemon.ts';
import { byUuid } from './wire-types.ts';

const { domainOpenConsole } = procedures;
const console_ = { domain: byUuid('11111111-2222-4333-8444-555555555555'), device: null, flags: 0 };
const { ok, error, more } = messageStatus;

interface Opened {
  readonly daemon: FakeDaemon;
  readonly stream: LibvirtStream;
  readonly opened: Message;
  readonly peer: Peer;
  /** The stream packets that the daemon has received. */
  readonly packets: Message[];
  readonly connection: Awaited<ReturnType<typeof openSession>>;
}

async function openStream(t: TestContext, early?: (opened: Message, peer: Peer) => void): Promise<Opened> {
  const daemon = await FakeDaemon.start();
  const options = { socketPath: daemon.socketPath, uri: 'u', connectTimeoutMs: 2000, maxInFlight: 4, keepAlive: null };
  const connection = await openSession(options);
  t.after(async () => {
    connection.end('CLOSED', 'the test is over');
    await daemon.remove();
  });
  const packets: Message[] = [];
  daemon.handler = (message, peer) => {
    if (message.type === messageType.stream) packets.push(message);
    else {
      peer.reply(domainOpenConsole, message.serial, undefined);
      early?.(message, peer);
    }
  };
  const { stream } = await connection.callWithStream(domainOpenConsole, console_);
  const [opened, peer] = await daemon.saw(domainOpenConsole);
  return { daemon, stream, opened, peer, packets, connection };
}

const nextPacket = async ({ daemon, packets }: Opened, wanted: number): Promise<Message> => {
  for (;;) {
    const found = packets.find(({ status }) => status === wanted);
    if (found !== undefined) return found;
    await once(daemon, 'received');
  }
};

/** The connection is in order. */
async function answers({ daemon, connection }: Opened): Promise<void> {
  const { connectGetHostname } = procedures;
  daemon.handler = ({ serial }, peer) => peer.reply(connectGetHostname, serial, { hostname: 'h' });
  assert.deepEqual(await connection.call(connectGetHostname, undefined), { hostname: 'h' });
}

test('data that comes with the answer is not lost, and the end of data is confirmed', async (t) => {
  const opened = await openStream(t, (message, peer) => {
    peer.stream(message, more, Buffer.from('login: '));
    peer.stream(message, more, Buffer.alloc(0));
  });
  const text = (async () => {
    let all = '';
    for await (const chunk of opened.stream as AsyncIterable<Buffer>) all += chunk.toString();
    return all;
  })();
  const finish = await nextPacket(opened, ok);
  assert.equal(finish.body.length, 0);
  assert.equal(finish.serial, opened.opened.serial);
  opened.peer.stream(opened.opened, ok, Buffer.alloc(0));
  assert.equal(await text, 'login: ');
  await finished(opened.stream);
});

test('the end of data is confirmed even while nobody reads', async (t) => {
  const opened = await openStream(t);
  opened.peer.stream(opened.opened, more, Buffer.from('unread'));
  opened.peer.stream(opened.opened, more, Buffer.alloc(0));
  await nextPacket(opened, ok);
});

test('what is written arrives, cut to what libvirt takes', async (t) => {
  const opened = await openStream(t);
  const bytes = Buffer.alloc(maxStreamBytes * 2 + 5, 'x');
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  opened.stream.write(bytes, (failure) => (failure ? reject(failure) : resolve()));
  await promise;
  while (opened.packets.length < 3) await once(opened.daemon, 'received');
  assert.deepEqual(
    opened.packets.map(({ status, body }) => [status, body.length]),
    [
      [more, maxStreamBytes],
      [more, maxStreamBytes],
      [more, 5],
    ],
  );
});

test('end() finishes and waits for the confirmation', async (t) => {
  const opened = await openStream(t);
  opened.stream.resume();
  let done = false;
  const over = once(opened.stream, 'finish').then(() => {
    done = true;
  });
  opened.stream.end('bye');
  await nextPacket(opened, ok);
  assert.equal(done, false);
  opened.peer.stream(opened.opened, ok, Buffer.alloc(0));
  opened.peer.stream(opened.opened, more, Buffer.from('what the daemon had queued'));
  await over;
  await answers(opened);
});

test('destroy() aborts, and what still comes for the stream is dropped', async (t) => {
  const opened = await openStream(t);
  opened.stream.destroy();
  const abort = await nextPacket(opened, error);
  assert.equal(abort.body.length, 0);
  opened.peer.stream(opened.opened, more, Buffer.from('late'));
  opened.peer.fail(opened.opened, 39, 'stream aborted at client request', messageType.stream);
  await answers(opened);
});

test("the daemon's error destroys the stream with it", async (t) => {
  const opened = await openStream(t);
  opened.peer.fail(opened.opened, 38, 'cannot read: Input/output error', messageType.stream);
  await assert.rejects(finished(opened.stream), { symbol: 'VIR_ERR_SYSTEM_ERROR' });
});

test('a lost connection destroys the stream', async (t) => {
  const opened = await openStream(t);
  const over = assert.rejects(finished(opened.stream), (failure) => {
    assert.ok(failure instanceof LibvirtConnectionError);
    assert.equal(failure.code, 'CONNECTION_LOST');
    return true;
  });
  await opened.daemon.die();
  await over;
});

test('a reader that does not read stops the daemon from sending, and takes all of it later', async (t) => {
  const opened = await openStream(t);
  const size = 8 * 1024 * 1024;
  const sent = Buffer.alloc(256 * 1024, 'y');
  for (let total = 0; total < size; total += sent.length) opened.peer.stream(opened.opened, more, sent);
  opened.peer.stream(opened.opened, more, Buffer.alloc(0));
  while (opened.stream.readableLength === 0) await once(opened.stream, 'readable');
  // Turns enough for all of it to cross the socket, were it read.
  for (let turn = 0; turn < 500; turn++) await nextTurn();
  assert.ok(opened.peer.socket.writableLength > 0, 'the daemon could send everything');
  assert.ok(opened.stream.readableLength < size / 2);
  let received = 0;
  const reading = (async () => {
    for await (const chunk of opened.stream as AsyncIterable<Buffer>) received += chunk.length;
  })();
  await nextPacket(opened, ok);
  opened.peer.stream(opened.opened, ok, Buffer.alloc(0));
  await reading;
  assert.equal(received, size);
});

test('a refused opening gives no stream', async (t) => {
  const opened = await openStream(t);
  opened.daemon.handler = (message, peer) => peer.fail(message, 55, 'domain is not running');
  await assert.rejects(opened.connection.callWithStream(domainOpenConsole, console_), {
    symbol: 'VIR_ERR_OPERATION_INVALID',
  });
});
