import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import type { Connection } from './connection.ts';
import { decode, encode, int, struct } from './codec.ts';
import { LibvirtConnectionError, LibvirtError } from './error.ts';
import { procedures } from './procedures/table.ts';
import { closeSession, openSession, type SessionOptions } from './session.ts';
import { FakeDaemon } from './testing/fake-daemon.ts';
import { byUuid, domainRef } from './wire-types.ts';
import { keepAliveProgram } from './procedure.ts';

const { connectGetHostname, domainGetState, domainLookupByName } = procedures;
const uuid = '11111111-2222-4333-8444-555555555555';

async function open(t: TestContext, options: Partial<SessionOptions> = {}): Promise<[FakeDaemon, Connection]> {
  const daemon = await FakeDaemon.start();
  const defaults = { uri: 'test:///default', connectTimeoutMs: 2000, maxInFlight: 4, keepAlive: null };
  const connection = await openSession({ socketPath: daemon.socketPath, ...defaults, ...options });
  t.after(async () => {
    connection.end('CLOSED', 'the test is over');
    await daemon.remove();
  });
  return [daemon, connection];
}

const failsWith = (code: LibvirtConnectionError['code'], sent: boolean) => (error: unknown) => {
  assert.ok(error instanceof LibvirtConnectionError, String(error));
  assert.deepEqual({ code: error.code, sent: error.sent }, { code, sent });
  return true;
};

test('an answer cut into single bytes arrives', async (t) => {
  const [daemon, connection] = await open(t);
  daemon.handler = ({ serial }, peer) => {
    for (const byte of peer.answer(connectGetHostname, serial, { hostname: 'split' })) {
      peer.socket.write(Buffer.from([byte]));
    }
  };
  assert.deepEqual(await connection.call(connectGetHostname, undefined), { hostname: 'split' });
});

test('answers find their calls in any order, and serials are unique', async (t) => {
  const [daemon, connection] = await open(t);
  const held: (() => void)[] = [];
  daemon.handler = ({ serial, body }, peer) => {
    const { domain } = decode(domainGetState.args, body);
    held.push(() => peer.reply(domainGetState, serial, { state: domain.id, reason: 0 }));
    if (held.length === 4) for (const answer of held.reverse()) answer();
  };
  const ids = [10, 11, 12, 13];
  const answers = await Promise.all(
    ids.map((id) => connection.call(domainGetState, { domain: { ...byUuid(uuid), id }, flags: 0 })),
  );
  assert.deepEqual(
    answers.map(({ state }) => state),
    ids,
  );
  const serials = daemon.received.map(({ serial }) => serial);
  assert.equal(new Set(serials).size, serials.length);
});

test('no more calls are under way than allowed, and the rest follow in order', async (t) => {
  const [daemon, connection] = await open(t, { maxInFlight: 2 });
  let open_ = 0;
  let most = 0;
  const order: number[] = [];
  daemon.handler = ({ serial, body }, peer) => {
    open_ += 1;
    most = Math.max(most, open_);
    order.push(decode(domainGetState.args, body).flags);
    setImmediate(() => {
      open_ -= 1;
      peer.reply(domainGetState, serial, { state: 1, reason: 1 });
    });
  };
  const calls = Array.from({ length: 20 }, (_, flags) =>
    connection.call(domainGetState, { domain: byUuid(uuid), flags }),
  );
  await Promise.all(calls);
  assert.equal(most, 2);
  assert.deepEqual(
    order,
    calls.map((_, index) => index),
  );
});

test("the daemon's error comes with number, name and message", async (t) => {
  const [daemon, connection] = await open(t);
  daemon.handler = (message, peer) => peer.fail(message, 42, 'Domain not found');
  await assert.rejects(connection.call(domainLookupByName, { name: 'x' }), (error) => {
    assert.ok(error instanceof LibvirtError);
    assert.deepEqual(
      [error.code, error.symbol, error.domain, error.message],
      [42, 'VIR_ERR_NO_DOMAIN', 10, 'Domain not found'],
    );
    return true;
  });
});

test('an error number from a newer daemon keeps its number', async (t) => {
  const [daemon, connection] = await open(t);
  daemon.handler = (message, peer) => peer.fail(message, 4711, 'new');
  await assert.rejects(connection.call(domainLookupByName, { name: 'x' }), { symbol: 'VIR_ERR_4711', code: 4711 });
});

test('a lost connection rejects every open call and says which were sent', async (t) => {
  const [daemon, connection] = await open(t, { maxInFlight: 1 });
  const sent = connection.call(connectGetHostname, undefined);
  const queued = connection.call(connectGetHostname, undefined);
  const closed = once(connection, 'close');
  await daemon.saw(connectGetHostname);
  const both = Promise.all([
    assert.rejects(sent, failsWith('CONNECTION_LOST', true)),
    assert.rejects(queued, failsWith('CONNECTION_LOST', false)),
  ]);
  await daemon.die();
  await both;
  await closed;
  await assert.rejects(connection.call(connectGetHostname, undefined), failsWith('CONNECTION_LOST', false));
});

test('arguments that do not fit are refused here, and the connection lives on', async (t) => {
  const [daemon, connection] = await open(t);
  daemon.handler = ({ serial }, peer) => peer.reply(connectGetHostname, serial, { hostname: 'h' });
  const call = connection.call(domainGetState, { domain: byUuid('nonsense'), flags: 0 });
  await assert.rejects(call, failsWith('INVALID_CALL', false));
  const huge = connection.call(domainLookupByName, { name: 'x'.repeat(5 * 1024 * 1024) });
  await assert.rejects(huge, failsWith('INVALID_CALL', false));
  assert.deepEqual(await connection.call(connectGetHostname, undefined), { hostname: 'h' });
});

test('an answer that does not decode ends the connection', async (t) => {
  const [daemon, connection] = await open(t);
  const wrong = { ...connectGetHostname, result: struct({ a: int }) };
  daemon.handler = ({ serial }, peer) => peer.reply(wrong, serial, { a: 77 });
  const closed = once(connection, 'close');
  await assert.rejects(connection.call(connectGetHostname, undefined), failsWith('PROTOCOL', true));
  const [reason] = await closed;
  assert.equal(reason.code, 'PROTOCOL');
});

test('garbage instead of a frame ends the connection', async (t) => {
  const [daemon, connection] = await open(t);
  const closed = once(connection, 'close');
  daemon.peers[0]?.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
  const [reason] = await closed;
  assert.equal(reason.code, 'PROTOCOL');
});

test('a call given up in time keeps its place until the answer comes', async (t) => {
  const [daemon, connection] = await open(t, { maxInFlight: 1 });
  await assert.rejects(connection.call(connectGetHostname, undefined, { timeoutMs: 5 }), failsWith('TIMEOUT', true));
  const queued = connection.call(connectGetHostname, undefined, { timeoutMs: 5 });
  await assert.rejects(queued, failsWith('TIMEOUT', false));
  const next = connection.call(connectGetHostname, undefined);
  const [message, peer] = await daemon.saw(connectGetHostname);
  daemon.handler = ({ serial }) => peer.reply(connectGetHostname, serial, { hostname: 'second' });
  peer.reply(connectGetHostname, message.serial, { hostname: 'first' });
  assert.deepEqual(await next, { hostname: 'second' });
});

test('a ping is answered', async (t) => {
  const [daemon] = await open(t);
  daemon.answersPings = false;
  daemon.peers[0]?.ping();
  const [pong] = await daemon.saw({ number: 2 }, 2);
  assert.equal(pong.program, keepAliveProgram);
});

test('a daemon that answers pings is kept, one that stops is given up', async (t) => {
  const [daemon, connection] = await open(t, { keepAlive: { intervalMs: 10, count: 2 } });
  for (let pings = 0; pings < 3; pings++) {
    const [message] = await once(daemon, 'received');
    if (message.program !== keepAliveProgram) pings -= 1;
  }
  assert.equal(connection.ended, undefined);
  const call = connection.call(connectGetHostname, undefined);
  daemon.answersPings = false;
  const closed = once(connection, 'close');
  await assert.rejects(call, failsWith('KEEPALIVE_TIMEOUT', true));
  const [reason] = await closed;
  assert.equal(reason.code, 'KEEPALIVE_TIMEOUT');
});

test('an event reaches its listener, an unknown one is passed over', async (t) => {
  const [daemon, connection] = await open(t);
  const event = once(connection, 'event');
  const body = struct({ callbackId: int, domain: domainRef, event: int, detail: int });
  const domain = { name: 'vm', uuid, id: 3 };
  daemon.peers[0]?.event(449, Buffer.alloc(4));
  daemon.peers[0]?.event(318, encode(body, { callbackId: 0, domain, event: 5, detail: 1 }));
  assert.deepEqual(await event, [{ kind: 'lifecycle', uuid, name: 'vm', event: 'stopped', detail: 'destroyed' }]);
});

test('an authentication other than none or polkit is refused', async (t) => {
  const daemon = await FakeDaemon.start();
  t.after(() => daemon.remove());
  daemon.answersOpening = false;
  daemon.handler = ({ serial }, peer) => peer.reply(procedures.authList, serial, { types: [1] });
  const options = { socketPath: daemon.socketPath, uri: 'u', connectTimeoutMs: 2000, maxInFlight: 4, keepAlive: null };
  await assert.rejects(openSession(options), failsWith('AUTH_UNSUPPORTED', false));
});

test('a daemon that accepts but says nothing times out', async (t) => {
  const daemon = await FakeDaemon.start();
  t.after(() => daemon.remove());
  daemon.answersOpening = false;
  const options = { socketPath: daemon.socketPath, uri: 'u', connectTimeoutMs: 20, maxInFlight: 4, keepAlive: null };
  await assert.rejects(openSession(options), failsWith('TIMEOUT', true));
});

test('closing says good-bye first', async (t) => {
  const [daemon, connection] = await open(t);
  const closed = once(connection, 'close');
  await closeSession(connection);
  await daemon.saw(procedures.connectClose);
  const [reason] = await closed;
  assert.equal(reason.code, 'CLOSED');
});
