/** The connection against something that behaves worse than Open vSwitch does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { OpenFlowConnection } from './connection.ts';
import { encodeMessage, type Message, MessageStream, messageType } from './message.ts';

type Reaction = (message: Message, socket: net.Socket) => void;

const hello = encodeMessage(messageType.hello, 1, Buffer.alloc(0));
const nothing = Buffer.alloc(0);

/** Listens on a socket and reacts to messages, the greeting included. */
async function pretend(context: TestContext, react: Reaction): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'kvasir-openflow-'));
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    const stream = new MessageStream();
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      for (const message of stream.push(chunk)) react(message, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(join(directory, 'br.mgmt'), resolve));
  context.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await rm(directory, { recursive: true });
  });
  return join(directory, 'br.mgmt');
}

/** Greets, and leaves the rest to `react`. */
function afterHello(react: Reaction): Reaction {
  return (message, socket) => {
    if (message.type === messageType.hello) socket.write(hello);
    else react(message, socket);
  };
}

function connect(socketPath: string, onMessage: (message: Message) => void = () => undefined, onEnd = () => undefined) {
  return OpenFlowConnection.connect(socketPath, { onMessage, onEnd }, 100);
}

test('messages come out whole however the bytes are cut', () => {
  const bytes = Buffer.concat([1, 2, 3].map((n) => encodeMessage(n, n, Buffer.alloc(n * 7, n))));
  for (let size = 1; size < bytes.length; size++) {
    const stream = new MessageStream();
    const seen: Message[] = [];
    for (let at = 0; at < bytes.length; at += size) seen.push(...stream.push(bytes.subarray(at, at + size)));
    assert.deepEqual(
      seen.map(({ type, xid, body }) => [type, xid, body.length]),
      [
        [1, 1, 7],
        [2, 2, 14],
        [3, 3, 21],
      ],
    );
  }
});

test('a switch of another version is refused', async (context) => {
  const old = await pretend(context, (_, socket) => socket.write(Buffer.from('0100000800000001', 'hex')));
  await assert.rejects(connect(old), { kind: 'version' });
  const without14 = await pretend(context, (_, socket) =>
    socket.write(Buffer.from('06000010000000010001000800000050', 'hex')),
  );
  await assert.rejects(connect(without14), { kind: 'version' });
  const refuses = await pretend(context, (_, socket) =>
    socket.write(encodeMessage(messageType.error, 1, Buffer.alloc(4))),
  );
  await assert.rejects(connect(refuses), { kind: 'refused', message: /OFPHFC_INCOMPATIBLE/ });
});

test('silence and hanging up end in errors that say which', async (context) => {
  await assert.rejects(connect('/nonexistent.mgmt'), { kind: 'not connected' });
  await assert.rejects(connect(await pretend(context, () => undefined)), { kind: 'no answer' });
  await assert.rejects(connect(await pretend(context, (_, socket) => socket.destroy())), { kind: 'disconnected' });

  const silent = await connect(
    await pretend(
      context,
      afterHello(() => undefined),
    ),
  );
  await assert.rejects(silent.barrier(), { kind: 'no answer', message: /a barrier took the switch more than 100 ms/ });
  silent.close();
  await assert.rejects(silent.barrier(), { kind: 'not connected' });

  let ends = 0;
  const hangsUp = await connect(
    await pretend(
      context,
      afterHello((_, socket) => socket.destroy()),
    ),
    undefined,
    () => {
      ends++;
    },
  );
  await assert.rejects(hangsUp.barrier(), { kind: 'disconnected' });
  hangsUp.close();
  assert.equal(ends, 1);
});

test('answers find their questions in any order, echoes are returned, the rest is handed on', async (context) => {
  const held: Message[] = [];
  const socketPath = await pretend(
    context,
    afterHello((message, socket) => {
      if (message.type === messageType.echoReply) return socket.emit('echoed', message);
      held.push(message);
      if (held.length < 2) return;
      for (const { xid } of held.reverse()) socket.write(encodeMessage(messageType.barrierReply, xid, nothing));
      socket.write(encodeMessage(messageType.echoRequest, 77, Buffer.from('hi')));
      socket.write(encodeMessage(messageType.portStatus, 0, nothing));
      void once(socket, 'echoed').then(([echo]: Message[]) => socket.write(encodeMessage(99, echo!.xid, echo!.body)));
    }),
  );
  const seen: Message[] = [];
  const got = Promise.withResolvers<void>();
  const connection = await connect(socketPath, (message) => {
    seen.push(message);
    if (message.type === 99) got.resolve();
  });
  await Promise.all([connection.barrier(), connection.barrier()]);
  await got.promise;
  assert.deepEqual(
    seen.map(({ type, xid, body }) => [type, xid, String(body)]),
    [
      [messageType.portStatus, 0, ''],
      [99, 77, 'hi'],
    ],
  );
  connection.close();
});

test('an answer in several parts is whole when the last one came', async (context) => {
  const part = (xid: number, more: boolean, text: string) =>
    encodeMessage(
      messageType.multipartReply,
      xid,
      Buffer.concat([Buffer.from([0, 1, 0, more ? 1 : 0, 0, 0, 0, 0]), Buffer.from(text)]),
    );
  const socketPath = await pretend(
    context,
    afterHello(({ xid }, socket) =>
      socket.write(Buffer.concat([part(xid, true, 'a'), part(xid, true, 'b'), part(xid, false, 'c')])),
    ),
  );
  const connection = await connect(socketPath);
  const parts = await connection.multipart(1, nothing, 'flows');
  assert.equal(Buffer.concat(parts).toString(), 'abc');
  connection.close();
});

test('refusals come as errors with their name, or to whoever watches', async (context) => {
  const refusal = (xid: number) => encodeMessage(messageType.error, xid, Buffer.from([0, 4, 0, 9]));
  const socketPath = await pretend(
    context,
    afterHello(({ xid }, socket) => socket.write(refusal(xid))),
  );
  const connection = await connect(socketPath);
  const expected = {
    kind: 'refused',
    message: 'the switch refuses a thing: OFPBMC_BAD_PREREQ',
    refusal: { type: 4, code: 9, symbol: 'OFPBMC_BAD_PREREQ' },
  };
  await assert.rejects(connection.request(messageType.barrierRequest, nothing, 'a thing'), expected);
  const watched = Promise.withResolvers<number>();
  connection.watchRefusals((xid) => watched.resolve(xid));
  const xid = connection.send(messageType.flowMod, nothing);
  assert.equal(await watched.promise, xid);
  connection.close();
});

test('what is no OpenFlow ends the connection', async (context) => {
  const socketPath = await pretend(
    context,
    afterHello((_, socket) => socket.write(Buffer.from('0500000100000000', 'hex'))),
  );
  const connection = await connect(socketPath);
  await assert.rejects(connection.barrier(), { kind: 'disconnected' });
});
