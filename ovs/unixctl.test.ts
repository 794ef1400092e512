import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Unixctl } from './unixctl.ts';

/** Something that listens as ovs-vswitchd would; `answer` gets the request and the socket. */
async function pretend(context: TestContext, name: string, answer: (request: string, socket: net.Socket) => void) {
  const runDirectory = await mkdtemp(join(tmpdir(), 'kvasir-unixctl-'));
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => answer(chunk.toString(), socket));
  });
  await new Promise<void>((resolve) => server.listen(join(runDirectory, name), resolve));
  context.after(async () => {
    server.close();
    await rm(runDirectory, { recursive: true });
  });
  return { runDirectory, server };
}

test('a command is asked and its text comes back, in however many pieces', async (context) => {
  const long = 'Flow: {}\n'.repeat(50_000);
  const { runDirectory } = await pretend(context, 'ovs-vswitchd.123.ctl', (request, socket) => {
    assert.deepEqual(JSON.parse(request), { id: 0, method: 'ofproto/trace', params: ['br0', 'in_port=1'] });
    socket.write(JSON.stringify({ id: 0, error: null, result: long }));
  });
  assert.equal(await new Unixctl({ runDirectory }).trace('br0', 'in_port=1'), long);
});

test('errors say what they are', async (context) => {
  const { runDirectory } = await pretend(context, 'vswitchd.ctl', (request, socket) => {
    if (request.includes('nosuch'))
      socket.write('{"id":0,"error":"\\"nosuch\\" is not a valid command\\n","result":null}');
    else if (request.includes('hang-up')) socket.destroy();
  });
  const unixctl = new Unixctl({ runDirectory, timeoutMs: 50 });
  await assert.rejects(unixctl.call('nosuch'), { kind: 'refused', message: 'nosuch: "nosuch" is not a valid command' });
  await assert.rejects(unixctl.call('hang-up'), { kind: 'no answer' });
  await assert.rejects(unixctl.call('silence'), { kind: 'no answer', message: /more than 50 ms/ });
  await assert.rejects(new Unixctl({ runDirectory: '/nonexistent' }).call('x'), { kind: 'not connected' });
});

test('the socket of a switch that was killed is passed over', async (context) => {
  const { runDirectory } = await pretend(context, 'ovs-vswitchd.9.ctl', (_, socket) =>
    socket.write('{"id":0,"result":"new"}'),
  );
  // Nobody listens on it, as on a socket that a killed process left behind.
  await writeFile(join(runDirectory, 'ovs-vswitchd.1.ctl'), '');
  assert.equal(await new Unixctl({ runDirectory }).call('version'), 'new');
});
