import assert from 'node:assert/strict';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { test, type TestContext } from 'node:test';
import { backoffMs } from './backoff.ts';
import { LibvirtClient, type LibvirtClientOptions } from './client.ts';
import { decode, encode, int, struct } from './codec.ts';
import { LibvirtConnectionError } from './error.ts';
import { eventIdOf } from './events.ts';
import { type Message, messageType } from './message.ts';
import { monitorEventBody, monitorEventProcedure } from './monitor-event.ts';
import { qemuProgram } from './procedure.ts';
import { procedures } from './procedures/table.ts';
import { FakeDaemon } from './testing/fake-daemon.ts';
import { domainRef } from './wire-types.ts';

const uuid = '11111111-2222-4333-8444-555555555555';
const { connectDomainEventCallbackRegisterAny: register, connectGetHostname, domainReset } = procedures;

async function start(t: TestContext, options: LibvirtClientOptions = {}): Promise<[FakeDaemon, LibvirtClient]> {
  const daemon = await FakeDaemon.start();
  const client = new LibvirtClient({
    socketPath: daemon.socketPath,
    backoff: { minMs: 1, maxMs: 5 },
    connectTimeoutMs: 2000,
    ...options,
  });
  t.after(async () => {
    await client.close();
    await daemon.remove();
  });
  return [daemon, client];
}

const registered = (daemon: FakeDaemon): number[] =>
  daemon.received
    .filter(({ type, procedure }) => type === messageType.call && procedure === register.number)
    .map(({ body }) => decode(register.args, body).eventId);

const failsWith = (code: LibvirtConnectionError['code'], sent: boolean) => (error: unknown) => {
  assert.ok(error instanceof LibvirtConnectionError, String(error));
  assert.deepEqual({ code: error.code, sent: error.sent }, { code, sent });
  return true;
};

test('after the daemon came back the client is connected again, with its events', async (t) => {
  const [daemon, client] = await start(t, { events: ['lifecycle', 'blockJob'] });
  await client.connect();
  const wanted = [eventIdOf('lifecycle'), eventIdOf('blockJob')];
  assert.deepEqual(registered(daemon), wanted);
  const lost = once(client, 'disconnected');
  await daemon.die();
  const [reason] = await lost;
  assert.equal(reason.code, 'CONNECTION_LOST');
  assert.equal(client.connected, false);
  await assert.rejects(client.host.hostname(), failsWith('NOT_CONNECTED', false));
  const [failure] = await once(client, 'retry');
  assert.ok(failure instanceof LibvirtConnectionError);
  daemon.received.length = 0;
  const back = once(client, 'connected');
  await daemon.listen();
  await back;
  assert.deepEqual(registered(daemon), wanted);
  const event = once(client, 'event');
  const body = struct({ callbackId: int, domain: domainRef, iteration: int, detail: int });
  const domain = { name: 'vm', uuid, id: 3 };
  daemon.peers[0]?.event(318, encode(body, { callbackId: 0, domain, iteration: 2, detail: 0 }));
  assert.deepEqual(await event, [{ kind: 'lifecycle', uuid, name: 'vm', event: 'started', detail: 'booted' }]);
});

test('events of the monitor are asked for by name and come in order with the others', async (t) => {
  const [daemon, client] = await start(t, { events: ['lifecycle'], monitorEvents: ['MIGRATION', 'STOP'] });
  await client.connect();
  const monitor = procedures.qemuConnectDomainMonitorEventRegister;
  const asked = daemon.received.filter(({ program }) => program === qemuProgram);
  assert.deepEqual(
    asked.map(({ procedure, body }) => [procedure, decode(monitor.args, body)]),
    ['MIGRATION', 'STOP'].map((event) => [monitor.number, { domain: null, event, flags: 0 }]),
  );
  const heard: unknown[] = [];
  client.on('monitor', (event) => heard.push(event)).on('event', ({ kind }) => heard.push(kind));
  const domain = { name: 'vm', uuid, id: 3 };
  const lifecycle = struct({ callbackId: int, domain: domainRef, event: int, detail: int });
  const [peer] = daemon.peers;
  const tell = (event: string, details: string | null) => {
    const body = { callbackId: 1, domain, event, seconds: 1_700_000_000, microseconds: 5, details };
    peer?.event(monitorEventProcedure, encode(monitorEventBody, body), qemuProgram);
  };
  tell('MIGRATION', '{"status":"active"}');
  peer?.event(318, encode(lifecycle, { callbackId: 0, domain, event: 5, detail: 3 }));
  peer?.event(99, Buffer.alloc(4), qemuProgram);
  tell('STOP', null);
  while (heard.length < 3) await once(client, 'monitor', { signal: AbortSignal.timeout(5000) });
  assert.deepEqual(heard, [
    { uuid, event: 'MIGRATION', data: { status: 'active' } },
    'lifecycle',
    { uuid, event: 'STOP', data: {} },
  ]);
});

test('a call whose answer is lost is not repeated', async (t) => {
  const [daemon, client] = await start(t);
  await client.connect();
  const reset = assert.rejects(client.domain.reset(uuid), failsWith('CONNECTION_LOST', true));
  await daemon.saw(domainReset);
  await daemon.die();
  await reset;
  const back = once(client, 'connected');
  await daemon.listen();
  await back;
  const resets = daemon.received.filter(({ type, procedure }) => type === 0 && procedure === domainReset.number);
  assert.equal(resets.length, 1);
});

test('long calls hold up neither quick ones nor each other, up to their limit', async (t) => {
  const [daemon, client] = await start(t, { maxInFlight: 1, maxLongCalls: 2 });
  await client.connect();
  const held: { readonly message: Message; readonly answer: () => void }[] = [];
  daemon.handler = (message, peer) => {
    if (message.procedure === connectGetHostname.number) {
      peer.reply(connectGetHostname, message.serial, { hostname: 'h' });
    } else held.push({ message, answer: () => peer.reply(domainReset, message.serial, undefined) });
  };
  const calls = Array.from({ length: 5 }, () => client.domain.reset(uuid));
  while (held.length < 2) await once(daemon, 'received');
  assert.equal(await client.host.hostname(), 'h');
  assert.equal(held.length, 2);
  assert.equal(daemon.peers.length, 3);
  let answered = 0;
  while (answered < 5) {
    const next = held.shift();
    if (next === undefined) await once(daemon, 'received');
    else {
      next.answer();
      answered += 1;
    }
  }
  await Promise.all(calls);
  assert.equal(daemon.peers.length, 3);
});

test('a connection whose long call was given up is not used again', async (t) => {
  const [daemon, client] = await start(t);
  await client.connect();
  const domain = { name: '', uuid, id: -1 };
  const late = client.call('domainReset', { domain, flags: 0 }, { timeoutMs: 5 });
  await assert.rejects(late, failsWith('TIMEOUT', true));
  const [, peer] = await daemon.saw(domainReset);
  daemon.handler = ({ serial }, other) => {
    assert.notEqual(other, peer);
    other.reply(domainReset, serial, undefined);
  };
  await client.domain.reset(uuid);
});

test('a call with a time limit does not wait for longer than that for its turn', { timeout: 10_000 }, async (t) => {
  const [daemon, client] = await start(t, { maxLongCalls: 1 });
  await client.connect();
  const domain = { name: '', uuid, id: -1 };
  const held = client.domain.reset(uuid);
  const [{ serial }, peer] = await daemon.saw(domainReset);
  const late = client.call('domainReset', { domain, flags: 0 }, { timeoutMs: 20 });
  await assert.rejects(late, failsWith('TIMEOUT', false));
  const next = client.domain.reset(uuid);
  daemon.handler = (message, other) => other.reply(domainReset, message.serial, undefined);
  peer.reply(domainReset, serial, undefined);
  await Promise.all([held, next]);
  assert.equal(
    daemon.received.filter(({ procedure, type }) => procedure === domainReset.number && type === 0).length,
    2,
  );
});

test('connect() tells why it could not, and goes on trying', async (t) => {
  const [daemon, client] = await start(t);
  await daemon.die();
  await assert.rejects(client.connect(50), failsWith('CONNECT_FAILED', false));
  await daemon.listen();
  await client.connect(2000);
  assert.equal(client.connected, true);
});

test('close() rejects what is open, ends streams, and stops trying', async (t) => {
  const [daemon, client] = await start(t);
  await client.connect();
  daemon.handler = ({ procedure, serial }, peer) => {
    if (procedure === procedures.domainOpenConsole.number) peer.reply(procedures.domainOpenConsole, serial, undefined);
  };
  const stream = await client.console.open(uuid);
  const ended = assert.rejects(finished(stream), failsWith('CLOSED', true));
  const reset = assert.rejects(client.domain.reset(uuid), failsWith('CLOSED', true));
  await daemon.saw(domainReset);
  await client.close();
  await Promise.all([ended, reset]);
  await assert.rejects(client.host.hostname(), failsWith('CLOSED', false));
  await assert.rejects(client.connect(), failsWith('CLOSED', false));
});

test('close() while no daemon is there ends at once', async (t) => {
  const [daemon, client] = await start(t, { backoff: { minMs: 60_000, maxMs: 60_000 } });
  await daemon.die();
  client.start();
  await once(client, 'retry');
  await client.close();
});

test('close() does not wait for a daemon that takes a connection and answers nothing', async (t) => {
  const [daemon, client] = await start(t, { connectTimeoutMs: 60_000 });
  daemon.answersOpening = false;
  client.start();
  const [, peer] = await daemon.saw(procedures.authList);
  const gone = once(peer.socket, 'close');
  const started = performance.now();
  await client.close();
  await gone;
  assert.ok(performance.now() - started < 5000);
});

test('a stream leaves no connection behind', async (t) => {
  const [daemon, client] = await start(t);
  await client.connect();
  daemon.handler = ({ procedure, serial, type }, peer) => {
    if (type === 0 && procedure === procedures.domainOpenConsole.number) {
      peer.reply(procedures.domainOpenConsole, serial, undefined);
    } else if (type === 0) peer.fail({ program: 0x20008086, procedure, serial } as Message, 55, 'not running');
  };
  const stream = await client.console.open(uuid);
  assert.equal(daemon.peers.length, 2);
  const closed = once(daemon.peers[1]?.socket ?? assert.fail(), 'close');
  stream.destroy();
  await closed;
  const refused = client.console.screenshot(uuid);
  await assert.rejects(refused, { symbol: 'VIR_ERR_OPERATION_INVALID' });
  while (daemon.peers.length > 1) await once(daemon.peers[1]?.socket ?? assert.fail(), 'close');
});

test('a stream that the daemon does not open is given up, and leaves no connection', { timeout: 10_000 }, async (t) => {
  const [daemon, client] = await start(t, { openStreamTimeoutMs: 20 });
  await client.connect();
  await assert.rejects(client.console.screenshot(uuid), failsWith('TIMEOUT', true));
  while (daemon.peers.length > 1) await once(daemon.peers.at(-1)!.socket, 'close');
  assert.equal(daemon.peers.length, 1);
});

test('a screenshot whose stream ends without data is taken again', async (t) => {
  const [daemon, client] = await start(t);
  await client.connect();
  const png = Buffer.from('89504e470d0a1a0a0000000049454e44ae426082', 'hex');
  const images = [Buffer.alloc(0), png.subarray(0, 10), png];
  daemon.handler = (message, peer) => {
    if (message.type === messageType.stream) return peer.stream(message, 0, Buffer.alloc(0));
    peer.reply(procedures.domainScreenshot, message.serial, { mime: 'image/png' });
    const image = images.shift() ?? assert.fail('one attempt too many');
    if (image.length > 0) peer.stream(message, 2, image);
    peer.stream(message, 2, Buffer.alloc(0));
  };
  assert.deepEqual(await client.console.screenshot(uuid), { mime: 'image/png', image: png });
});

test('waits grow to their limit and are spread', () => {
  const options = { minMs: 100, maxMs: 5000 };
  assert.deepEqual(
    [0, 1, 2, 10, 1000].map((attempt) => backoffMs(attempt, options, () => 0)),
    [50, 100, 200, 2500, 2500],
  );
  assert.equal(
    backoffMs(3, options, () => 1),
    800,
  );
});
