/** Secrets that are typed: without echo, and twice when they are chosen now. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { type FakeManager, startFakeManager } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';

/** Types the answers one after the other, each when it is asked for. */
function typed(manager: FakeManager, line: string, answers: readonly string[]) {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const left = [...answers];
  const onPrompt = (text: string) => {
    if (text.endsWith(': ')) stdin.write(`${left.shift() ?? assert.fail(text)}\r`);
  };
  return runCli(line.split(' '), { env: { KVASIR_URL: manager.url }, stdin, onPrompt, terminal: true });
}

test('a new password is asked for twice, the one of before once', async () => {
  await using manager = await startFakeManager();
  const { code, stderr } = await typed(manager, 'session change-password', ['old one', 'new one 1', 'new one 1']);
  assert.deepEqual([code, stderr], [0, 'current password: \nnew password: \nnew password again: \n']);
  assert.deepEqual(manager.requests[0]?.body, { currentPassword: 'old one', newPassword: 'new one 1' });
  await typed(manager, 'user create bob', ['new one 2', 'new one 2']);
  assert.deepEqual(manager.requests[1]?.body, { name: 'bob', password: 'new one 2' });
});

test('a new password that is typed differently the second time is not sent', async () => {
  await using manager = await startFakeManager();
  for (const [line, ...answers] of [
    ['session change-password', 'old one', 'new one 1', 'new one 2'],
    ['user create bob', 'new one 1', ''],
  ] as const) {
    const { code, stderr } = await typed(manager, line, answers);
    assert.equal(code, 2);
    assert.match(stderr, /error: the (new )?password was typed differently the second time; nothing was changed\n$/);
    assert.equal(/new one|old one/.test(stderr), false);
  }
  assert.deepEqual(manager.requests, []);
});

test('from a pipe a new password is one line', async () => {
  await using manager = await startFakeManager();
  const env = { KVASIR_URL: manager.url };
  await runCli(['session', 'change-password'], { env, stdin: 'old one\nnew one 1\n' });
  assert.deepEqual(manager.requests[0]?.body, { currentPassword: 'old one', newPassword: 'new one 1' });
});
