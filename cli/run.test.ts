/** What a person sees: results in each form, one clear error line, the exit code. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import { parse } from 'yaml';
import { type FakeManager, startFakeManager } from './testing/fake-manager.ts';
import { type CliOptions, runCli } from './testing/run-cli.ts';

const id = (last: string) => `01890000-0000-7000-8000-${last.padStart(12, '0')}`;
const vm = (name: string, last: string) => ({
  id: id(last),
  name,
  state: 'running',
  hostName: 'h1',
  cpus: 1,
  memoryMib: 128,
  guest: { addresses: ['10.0.0.5'] },
});

function ask(manager: FakeManager, line: string, options: CliOptions = {}) {
  return runCli(line.split(' '), { ...options, env: { KVASIR_URL: manager.url, ...options.env } });
}

test('a table lines up, also with Chinese names; --wide keeps ids whole', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.list', ({ query }) => ({
    items: [vm('网站', '1'), vm('web', '2')].slice(0, Number(query.limit ?? 2)),
    nextCursor: null,
  }));
  const { stdout } = await ask(manager, 'vm list --wide');
  assert.deepEqual(stdout.split('\n'), [
    `ID${' '.repeat(36)}NAME  STATE    HOST  CPUS  MEMORY   GUEST ADDRESSES`,
    `${id('1')}  网站  running  h1    1     128 MiB  10.0.0.5`,
    `${id('2')}  web   running  h1    1     128 MiB  10.0.0.5`,
    '',
  ]);
  const short = await ask(manager, 'vm list');
  const ids = short.stdout
    .split('\n')
    .slice(1, 3)
    .map((line) => line.split(' ')[0]);
  assert.equal(new Set(ids).size, 2, 'shortened ids stay different');
  const lone = await ask(manager, 'vm list --limit 1');
  assert.equal(lone.stdout.includes(id('1')), false);
});

test('a list over projects says which project each row is of', async () => {
  await using manager = await startFakeManager();
  manager.answer('project.list', () => ({ items: [{ id: id('7'), name: 'blue' }], nextCursor: null }));
  const items = [
    { ...vm('a', '1'), projectId: id('7') },
    { ...vm('b', '2'), projectId: id('8') },
  ];
  manager.answer('vm.list', () => ({ items, nextCursor: null }));
  const rowsOf = async (line: string) =>
    (await ask(manager, line)).stdout.split('\n').map((row) => row.split(/ {2,}/).slice(1, 4));
  assert.deepEqual(await rowsOf('vm list --all-projects --wide'), [
    ['NAME', 'PROJECT', 'STATE'],
    ['a', 'blue', 'running'],
    ['b', id('8'), 'running'],
    [],
  ]);
  assert.deepEqual((await rowsOf('vm list'))[0], ['NAME', 'STATE', 'HOST'], 'of one project it need not be said');
  const done = (name: string, projectId: string | null) => ({ kind: 'vm-start', target: { name }, projectId });
  const tasks = [done('a', id('7')), done('h1', null)];
  manager.answer('task.list', () => ({ items: tasks, nextCursor: null }));
  const namesProject = async (line: string) => (await ask(manager, line)).stdout.includes('PROJECT');
  assert.equal(await namesProject('task list'), false, 'all of them are of one');
  tasks.push(done('b', id('8')));
  assert.equal(await namesProject('task list'), true);
  assert.equal(await namesProject('task list --project blue'), false);
});

test('a list fetches all its pages', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.list', ({ query }) =>
    query.cursor === 'more'
      ? { items: [vm('b', '2')], nextCursor: null }
      : { items: [vm('a', '1')], nextCursor: 'more' },
  );
  const all = await ask(manager, 'vm list -o json');
  assert.deepEqual(
    (JSON.parse(all.stdout) as { name: string }[]).map((one) => one.name),
    ['a', 'b'],
  );
  const first = await ask(manager, 'vm list -o yaml --limit 1');
  assert.deepEqual(
    (parse(first.stdout) as { name: string }[]).map((one) => one.name),
    ['a'],
  );
  assert.match(first.stderr, /--cursor more/);
});

test('what the server says cannot play with the terminal', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.get', () => ({ name: 'web', stateReason: 'a\u001b[2Jb' }));
  const { stdout } = await ask(manager, 'vm show web');
  assert.match(stdout, /stateReason {2}a\\x1b\[2Jb/);
});

test('the main command line of the README arrives as it was meant', async () => {
  await using manager = await startFakeManager();
  await ask(manager, 'vm create web --image tiny --cpus 1 --memory 1GiB --network default --host h2');
  const body = { name: 'web', image: 'tiny', cpus: 1, memoryMib: 1024, network: 'default', host: 'h2' };
  assert.deepEqual(manager.requests[0]?.body, body);
  await ask(manager, 'vm create web --memory-mib 64 --nics network=default,model=virtio --disks size=1GiB --no-start');
  const nics = [{ network: 'default', model: 'virtio' }];
  assert.deepEqual(manager.requests[1]?.body, {
    name: 'web',
    memoryMib: 64,
    nics,
    disks: [{ sizeGib: 1 }],
    start: false,
  });
});

test('a refused field is named in one line, with exit code 1', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.create', () => invalidField('/body/memoryMib', 'must be >= 32'));
  const { code, stderr, stdout } = await ask(manager, 'vm create web --memory 1MiB');
  assert.deepEqual({ code, stderr, stdout }, { code: 1, stderr: 'error: memoryMib: must be >= 32\n', stdout: '' });
});

test('a refusal is shown as the server sent it', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.get', () => new KvasirError('not-found', { kind: 'vm', id: 'web' }));
  const { code, stderr } = await ask(manager, 'vm show web');
  assert.deepEqual({ code, stderr }, { code: 1, stderr: 'error: There is no vm "web" here\n' });
});

test('who is not logged in is told how to', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.list', () => new KvasirError('unauthenticated'));
  const { code, stderr } = await ask(manager, 'vm list');
  assert.equal(code, 1);
  assert.match(stderr, /^error: .*kvasir login\n$/);
});

test('a manager that does not answer is named', async () => {
  const manager = await startFakeManager();
  await manager[Symbol.asyncDispose]();
  const { code, stderr } = await ask(manager, 'vm list');
  assert.deepEqual(
    { code, stderr },
    { code: 1, stderr: `error: cannot reach the manager at ${manager.url}: connection refused\n` },
  );
});

test('a wrong command line sends nothing and ends with 2', async () => {
  await using manager = await startFakeManager();
  for (const line of [
    'vm create',
    'vm create web --memory 12MB',
    'vm create web --memory 1.5MiB',
    'vm create web --cpus two',
    'vm create web --nics net=default',
    'vm create web --nics {',
    'vm create web --label nothing',
    'vm create web --no-such',
    'vm create web --cloud-init-user-data @/nonexistent/file',
    'vm migrate web h2 --host h3',
    'pool create p --path /x',
    'user create bob --password secret12',
    'vm frobnicate web',
    'frobnicate',
    'vm list -o xml',
    'vm list --url ftp://x',
    'vm list --profile other',
  ]) {
    const { code, stderr } = await ask(manager, line);
    assert.equal(code, 2, line);
    assert.match(stderr, /^error: /, line);
  }
  assert.deepEqual(manager.requests, []);
});

test('details name what is empty as well', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.get', () => ({ name: 'web', labels: {}, affinity: [], ha: { dependsOn: [] }, guest: null }));
  const { stdout } = await ask(manager, 'vm show web');
  assert.deepEqual(
    stdout.split('\n').map((line) => line.split(/ +/)),
    [['name', 'web'], ['labels', '-'], ['affinity', '-'], ['ha.dependsOn', '-'], ['guest', '-'], ['']],
  );
});

test('help of a command and the version are there as people ask for them', async () => {
  const { version } = JSON.parse(await readFile(new URL('package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  for (const words of [['--version'], ['version']]) {
    assert.deepEqual(await runCli(words), { code: 0, stdout: `kvasir ${version}\n`, stderr: '' });
  }
  const [asked, option] = [await runCli(['help', 'vm', 'stop']), await runCli(['vm', 'stop', '--help'])];
  assert.match(asked.stdout, /^Usage: kvasir vm stop/);
  assert.deepEqual(asked, option);
});

test('a delete without content says so; If-Match and Idempotency-Key are sent', async () => {
  await using manager = await startFakeManager();
  assert.equal((await ask(manager, 'network delete n1')).stdout, 'done\n');
  await ask(manager, 'vm update web --description x --if-match 7');
  assert.equal(manager.requests[1]?.headers['if-match'], '"7"');
  await ask(manager, 'network create n2 --idempotency-key k1');
  assert.equal(manager.requests[2]?.headers['idempotency-key'], 'k1');
});
