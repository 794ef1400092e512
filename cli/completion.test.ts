/** Tab completion: words of the tree, choices of the schemas, names from the API, and never an error. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { writeProfiles } from './profile.ts';
import { startFakeManager } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';
import { temporaryHome } from './testing/temporary-home.ts';

async function complete(words: readonly string[], url = 'http://127.0.0.1:1'): Promise<string[]> {
  const { code, stdout } = await runCli(['__complete', ...words], { env: { KVASIR_URL: url } });
  assert.equal(code, 0);
  return stdout.split('\n').slice(0, -1);
}

test('words of the command tree', async () => {
  assert.deepEqual(await complete(['vo']), ['volume']);
  assert.deepEqual(await complete(['vm', 'sc']), ['screenshot']);
  assert.ok((await complete([''])).includes('login'));
  assert.deepEqual(await complete(['vm', 'create', 'web', '--mem']), ['--memory']);
});

test('choices of the schemas', async () => {
  assert.deepEqual(await complete(['vm', 'create', 'web', '--firmware', '']), ['bios', 'uefi']);
  assert.deepEqual(await complete(['vm', 'list', '-o', 'j']), ['json']);
  assert.deepEqual(await complete(['project', 'set-member', 'p', 'u', 'm']), ['member']);
});

test('names from the API, for arguments and options', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.list', () => ({ items: [{ name: 'web' }, { name: 'db' }], nextCursor: null }));
  manager.answer('host.list', () => ({ items: [{ name: 'h1' }, { name: 'h2' }], nextCursor: null }));
  assert.deepEqual(await complete(['vm', 'start', 'w'], manager.url), ['web']);
  assert.deepEqual(await complete(['vm', 'console', ''], manager.url), ['web', 'db']);
  assert.deepEqual(await complete(['vm', 'migrate', 'web', 'h'], manager.url), ['h1', 'h2']);
  assert.deepEqual(await complete(['vm', 'create', 'x', '--host', ''], manager.url), ['h1', 'h2']);
});

test('words of the programs beside the tree, and profiles', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  manager.answer('host.list', () => ({ items: [{ name: 'h1' }], nextCursor: null }));
  assert.deepEqual(await complete(['lab', 'cu']), ['cut']);
  assert.deepEqual(await complete(['lab', 'cut', ''], manager.url), ['h1']);
  assert.deepEqual(await complete(['demo', '']), ['--stop', '--name']);
  assert.deepEqual(await complete(['manager', 's']), ['serve']);
  const env = { KVASIR_CONFIG: join(home.path, 'config.json') };
  await writeProfiles(env, { current: 'a', profiles: { a: { url: manager.url }, b: { url: manager.url } } });
  const { stdout } = await runCli(['__complete', 'vm', 'list', '--profile', ''], { env });
  assert.equal(stdout, 'a\nb\n');
});

test('a manager that does not answer gives no names and no error', async () => {
  assert.deepEqual(await complete(['vm', 'start', '']), []);
});

test('the script is valid bash', async () => {
  const { stdout } = await runCli(['completion', 'bash']);
  await promisify(execFile)('bash', ['-n', '-c', stdout]);
  assert.match(stdout, /complete -F _kvasir kvasir/);
});
