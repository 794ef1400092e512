/** The console: bytes both ways, the escape key, scripts, and the door for a VNC viewer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { WebSocketServer, type WebSocket } from 'ws';
import { type FakeManager, startFakeManager } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';

interface Guest {
  /** Subprotocols that each connection offered. */
  readonly offered: string[][];
  readonly sockets: WebSocket[];
}

/** Answers console requests, and echoes each byte behind a greeting. */
function serveGuest(manager: FakeManager): Guest {
  const guest: Guest = { offered: [], sockets: [] };
  let tickets = 0;
  manager.answer('vm.openConsole', ({ params }) => {
    tickets += 1;
    return { path: `/v1/vms/${params.vm}/console`, ticket: `t${tickets}`, expiresAt: '' };
  });
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'kvasir.console' });
  manager.server.on('upgrade', (request, socket, head) => {
    guest.offered.push((request.headers['sec-websocket-protocol'] ?? '').split(/,\s*/));
    sockets.handleUpgrade(request, socket, head, (console_) => {
      guest.sockets.push(console_);
      console_.send(Buffer.from('login: '));
      console_.on('message', (data) => console_.send(data as Buffer));
    });
  });
  return guest;
}

/** A stdin that says it is a terminal. */
function keyboard() {
  const raw: boolean[] = [];
  const stream = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => raw.push(on) });
  return { stream, raw };
}

test('on a terminal keys go to the guest in raw mode until Ctrl-]', async () => {
  await using manager = await startFakeManager();
  const guest = serveGuest(manager);
  const { stream, raw } = keyboard();
  let seen = '';
  const running = runCli(['vm', 'console', 'web'], {
    env: { KVASIR_URL: manager.url },
    stdin: stream,
    onOutput: (text) => {
      seen += text;
      if (seen === 'login: ') stream.write('root\u0003\r');
      if (seen.endsWith('\u0003\r')) stream.write('x\u001dnot sent');
    },
  });
  const { code, stdout } = await running;
  assert.equal(code, 0);
  assert.equal(stdout.startsWith('login: root\u0003\r'), true);
  assert.equal(stdout.includes('not sent'), false);
  assert.deepEqual(raw, [true, false]);
  assert.deepEqual(guest.offered, [['kvasir.ticket.t1', 'kvasir.console']]);
  assert.deepEqual(manager.requests[0]?.body, { kind: 'serial' });
});

test('a script pipes input, and leaves when the text appears', async () => {
  await using manager = await startFakeManager();
  serveGuest(manager);
  const words = ['vm', 'console', 'web', '--until', 'uptime\n', '--timeout', '20'];
  const { code, stdout } = await runCli(words, { env: { KVASIR_URL: manager.url }, stdin: 'uptime\n' });
  assert.equal(code, 0);
  assert.equal(stdout, 'login: uptime\n');
});

test('text that does not appear in time is a failure', async () => {
  await using manager = await startFakeManager();
  serveGuest(manager);
  const words = ['vm', 'console', 'web', '--until', 'never', '--timeout', '0.2'];
  const { code, stderr } = await runCli(words, { env: { KVASIR_URL: manager.url } });
  assert.equal(code, 1);
  assert.match(stderr, /error: "never" did not appear within 0.2 s/);
});

test('a console that breaks off gives the terminal back and says so', async () => {
  await using manager = await startFakeManager();
  const guest = serveGuest(manager);
  const { stream, raw } = keyboard();
  const { code, stderr } = await runCli(['vm', 'console', 'web'], {
    env: { KVASIR_URL: manager.url },
    stdin: stream,
    onOutput: () => guest.sockets[0]?.close(1011, 'the host is gone'),
  });
  assert.equal(code, 1);
  assert.match(stderr, /error: the console was closed: the host is gone/);
  assert.deepEqual(raw, [true, false]);
});

test('a refused console says why', async () => {
  await using manager = await startFakeManager();
  manager.answer(
    'vm.openConsole',
    () => new KvasirError('wrong-state', { action: 'console', kind: 'vm', name: 'web', state: 'stopped' }),
  );
  const { code, stderr } = await runCli(['vm', 'console', 'web'], { env: { KVASIR_URL: manager.url } });
  assert.equal(code, 1);
  assert.equal(stderr, 'error: Cannot console vm "web" while it is stopped\n');
});

test('--kind vnc serves each viewer with a ticket of its own', async () => {
  await using manager = await startFakeManager();
  const guest = serveGuest(manager);
  const interruption = new AbortController();
  const opened = Promise.withResolvers<number>();
  const running = runCli(['vm', 'console', 'web', '--kind', 'vnc'], {
    env: { KVASIR_URL: manager.url },
    interrupted: interruption.signal,
    onOutput: (text) => opened.resolve(Number(/127\.0\.0\.1:(\d+)/.exec(text)?.[1])),
  });
  const port = await opened.promise;
  for (let round = 0; round < 2; round += 1) {
    const viewer = connect(port, '127.0.0.1');
    viewer.write('RFB');
    let text = '';
    while (text.length < 'login: RFB'.length) text += String((await once(viewer, 'data'))[0]);
    assert.equal(text, 'login: RFB');
    viewer.destroy();
  }
  interruption.abort();
  assert.equal((await running).code, 0);
  assert.deepEqual(
    guest.offered.map((one) => one[0]),
    ['kvasir.ticket.t1', 'kvasir.ticket.t2'],
  );
});
