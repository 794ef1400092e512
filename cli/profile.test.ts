/** Logging in, the profile file, and which of flags, environment and profile wins. */
import assert from 'node:assert/strict';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeProfiles } from './profile.ts';
import { startFakeManager } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';
import { temporaryHome } from './testing/temporary-home.ts';

const user = { id: '01890000-0000-7000-8000-000000000001', name: 'admin', systemRole: 'admin' };

test('login writes a profile that only its owner reads, and commands use it', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  manager.answer('session.create', () => ({ id: user.id, token: 'secret-token', expiresAt: '', user }));
  const env = { HOME: home.path };
  const words = ['login', '--url', `${manager.url}/`, '--user', 'admin', '--project', 'shop'];
  const login = await runCli(words, { env, stdin: 'pass word\n' });
  assert.equal(login.code, 0, login.stderr);
  assert.deepEqual(manager.requests[0]?.body, { userName: 'admin', password: 'pass word' });
  assert.equal(login.stdout.includes('secret-token'), false);

  const file = join(home.path, '.config', 'kvasir', 'config.json');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const profile = { url: manager.url, token: 'secret-token', project: 'shop' };
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), { current: 'default', profiles: { default: profile } });

  await runCli(['vm', 'list'], { env });
  assert.equal(manager.requests[1]?.headers.authorization, 'Bearer secret-token');
  assert.equal(manager.requests[1]?.query.project, 'shop');
  await runCli(['vm', 'list', '--project', 'other'], { env });
  assert.equal(manager.requests[2]?.query.project, 'other');
  await runCli(['task', 'list'], { env });
  assert.equal(manager.requests[3]?.query.project, undefined, 'tasks are shown of all projects');

  const logout = await runCli(['logout'], { env });
  assert.equal(logout.code, 0);
  assert.equal(manager.requests[4]?.operation, 'session.delete');
  assert.equal((await readFile(file, 'utf8')).includes('secret-token'), false);
});

test('a login without access to the default project works in a project of its own, and each login is found again', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  const env = { HOME: home.path };
  let projects = ['shop', 'test'];
  const whoAmI = () => ({
    user,
    expiresAt: null,
    projects: projects.map((name) => ({ id: user.id, name, role: 'member' })),
  });
  manager.answer('session.create', () => ({ id: user.id, token: 't', expiresAt: '', user }));
  manager.answer('session.current', whoAmI);
  const logIn = (...more: string[]) => runCli(['login', '--url', manager.url, ...more], { env, stdin: 'pass word\n' });
  const projectOfList = async () => {
    assert.equal((await runCli(['vm', 'list'], { env })).code, 0);
    return manager.requests.at(-1)?.query.project;
  };
  assert.match((await logIn()).stdout, /commands work in project shop\n$/);
  assert.equal(await projectOfList(), 'shop');
  projects = ['test', 'default'];
  assert.match((await logIn('--profile', 'boss')).stdout, /"boss" is the current profile now\n$/);
  assert.equal(await projectOfList(), undefined);

  projects = [];
  assert.match((await logIn('--profile', 'boss')).stdout, /you are in no project yet/);

  const use = await runCli(['profile', 'use', 'default'], { env });
  assert.equal(use.code, 0, use.stderr);
  assert.equal(await projectOfList(), 'shop');
  const list = await runCli(['profile', 'list', '-o', 'json'], { env });
  assert.deepEqual(JSON.parse(list.stdout), [
    { name: 'default', current: true, loggedIn: true, url: manager.url, project: 'shop' },
    { name: 'boss', current: false, loggedIn: true, url: manager.url, project: 'default' },
  ]);
  assert.doesNotMatch((await runCli(['profile', 'list'], { env })).stdout, /kvs_|\bt\b/);
  assert.equal((await runCli(['profile', 'use', 'nobody'], { env })).code, 2);
});

test('a list over all projects is not narrowed by the project of the profile', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  const env = { HOME: home.path };
  const profile = { url: manager.url, token: 't', project: 'shop' };
  await writeProfiles(env, { current: 'default', profiles: { default: profile } });
  for (const words of [[], ['--all-projects']]) await runCli(['vm', 'list', ...words], { env });
  const lists = manager.requests.filter(({ operation }) => operation === 'vm.list');
  assert.deepEqual(
    lists.map(({ query }) => query.project),
    ['shop', undefined],
  );
});

test('the environment wins, and a token goes to no other manager than its own', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  const file = join(home.path, 'config.json');
  const profile = { url: 'http://127.0.0.1:1', token: 'of-another' };
  await writeFile(file, JSON.stringify({ current: 'default', profiles: { default: profile } }), { mode: 0o600 });
  await runCli(['vm', 'list', '--url', manager.url], { env: { KVASIR_CONFIG: file } });
  assert.equal(manager.requests[0]?.headers.authorization, undefined);
  await runCli(['vm', 'list'], { env: { KVASIR_CONFIG: file, KVASIR_URL: manager.url, KVASIR_TOKEN: 'mine' } });
  assert.equal(manager.requests[1]?.headers.authorization, 'Bearer mine');
});

test('a config file that others can read is warned of', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  const file = join(home.path, 'config.json');
  await writeFile(file, JSON.stringify({ current: 'default', profiles: { default: { url: manager.url } } }));
  await chmod(file, 0o644);
  const { code, stderr } = await runCli(['vm', 'list'], { env: { KVASIR_CONFIG: file } });
  assert.equal(code, 0);
  assert.match(stderr, /^warning: .*chmod 600/);
});
