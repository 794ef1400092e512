/**
 * `kvasir demo`: the whole system on this one machine. Owns only the order of the steps: the lab makes the hosts, and
 * everything of the cloud is asked for through the CLI, as a person would. Each step looks first whether its result is
 * there already, so that an interrupted demo goes on and a second one is quick.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, run } from './command.ts';
import { tinyGuestImage } from './guest/build.ts';
import { Lab } from './lab.ts';
import type { LabHost } from './host.ts';
import { checkoutDirectory, insideHost, managerEndpoint, nodeBinary } from './layout.ts';
import { isRunning, until } from './processes.ts';
import { Steps } from './steps.ts';

const labName = 'demo';
const profile = 'demo';
const url = 'http://127.0.0.1:8080';
const vmNames = ['web', 'db'] as const;

const managerCommand = [
  '{node}',
  '{checkout}/manager/main.ts',
  '--data={directory}',
  '--listen=127.0.0.1:8080',
  '--agent-listen=unix:{agentSocket}',
  '--agent-address={agentAddress}:{agentPort}',
  '--database=sqlite',
];
const agentCommand = ['{node}', '{checkout}/agent/main.ts', 'run', '--data', '{state}'];

type Listed = readonly { readonly name: string; readonly state?: string }[];

/** One command of the CLI with the demo's login; its output is JSON. */
async function kvasir<T>(argv: readonly string[], timeoutMs = 180_000): Promise<T> {
  const command = [nodeBinary, join(checkoutDirectory, 'cli/main.ts'), ...argv, '--profile', profile, '-o', 'json'];
  return JSON.parse(await run(command, { timeoutMs })) as T;
}

async function names(resource: string): Promise<Set<string>> {
  return new Set((await kvasir<Listed>([resource, 'list'])).map((item) => item.name));
}

async function startManager(lab: Lab): Promise<void> {
  const manager = await lab.startManager(managerCommand);
  await until(`the manager at ${url}`, 30_000, async () => {
    if (!isRunning(manager)) throw new Error(`the manager ended; see ${lab.layout.managerLog}`);
    return fetch(`${url}/openapi.json`, { signal: AbortSignal.timeout(2_000) }).then(
      (answer) => answer.ok,
      () => false,
    );
  });
}

/** The password that the manager showed at its first start, kept beside its data for the next demo. */
function adminPassword(lab: Lab): string {
  const kept = join(lab.layout.managerDirectory, 'admin-password');
  if (existsSync(kept)) return readFileSync(kept, 'utf8').trim();
  const shown = /password[^\n]*?:\s*(\S+)/i.exec(readFileSync(lab.layout.managerLog, 'utf8'))?.[1];
  if (shown === undefined) throw new Error(`the manager showed no password of admin; see ${lab.layout.managerLog}`);
  writeFileSync(`${kept}.new`, `${shown}\n`, { mode: 0o600 });
  renameSync(`${kept}.new`, kept);
  return shown;
}

async function login(lab: Lab): Promise<void> {
  const cli = [nodeBinary, join(checkoutDirectory, 'cli/main.ts')];
  const current = await attempt([...cli, 'session', 'current', '--profile', profile, '--url', url, '-o', 'json']);
  if (current.exitCode === 0) return;
  await run([...cli, 'login', '--user', 'admin', '--password-file', '-', '--url', url, '--profile', profile], {
    input: `${adminPassword(lab)}\n`,
  });
}

/** Gives the host an identity unless it has one; the token goes through a file that only root reads. */
async function joinHost(host: LabHost): Promise<void> {
  const tokenFile = `${insideHost.agentConfig}/join-token`;
  const { token } = await kvasir<{ readonly token: string }>(['host', 'join-token']);
  writeFileSync(host.path(tokenFile), `${token}\n`, { mode: 0o600 });
  await host.exec([
    nodeBinary,
    join(checkoutDirectory, 'agent/main.ts'),
    'join',
    `--manager=${managerEndpoint.address}:${managerEndpoint.port}`,
    `--token-file=${tokenFile}`,
    `--name=${host.name}`,
    `--address=${host.layout.addresses.management}`,
    `--data=${insideHost.agentState}`,
  ]);
  await host.exec(['rm', tokenFile]);
}

async function joinHosts(lab: Lab): Promise<void> {
  const known = await names('host');
  for (const host of lab.hosts()) if (!known.has(host.name)) await joinHost(host);
  await lab.setAgentCommand(agentCommand);
  await until('all hosts up', 60_000, async () => {
    const items = await kvasir<Listed>(['host', 'list']);
    return lab.hosts().every((host) => items.some((item) => item.name === host.name && item.state === 'up'));
  });
}

async function makePools(): Promise<void> {
  const known = await names('pool');
  if (!known.has('shared')) await kvasir(['pool', 'create', 'shared', '--path', insideHost.sharedStorage, '--shared']);
  if (!known.has('local')) await kvasir(['pool', 'create', 'local', '--path', insideHost.localStorage, '--no-shared']);
  if (!(await names('network')).has('default')) await kvasir(['network', 'create', 'default']);
}

async function importImage(lab: Lab, imagePath: string): Promise<void> {
  if ((await names('image')).has('tiny')) return;
  mkdirSync(lab.sharedPath('import'), { recursive: true });
  copyFileSync(imagePath, lab.sharedPath('import/tiny.qcow2'));
  await kvasir(['image', 'import', 'tiny', '--pool', 'shared', '--file', 'tiny.qcow2', '--public', '--wait']);
}

async function bootVms(): Promise<void> {
  for (const name of vmNames) {
    const known = (await kvasir<Listed>(['vm', 'list'])).find((vm) => vm.name === name);
    const make = ['vm', 'create', name, '--image', 'tiny', '--cpus', '1', '--memory', '128MiB', '--network', 'default'];
    if (known === undefined) await kvasir([...make, '--wait']);
    else if (known.state !== 'running') await kvasir(['vm', 'start', name, '--wait']);
  }
}

/** Starts or completes the demo and leaves it running. */
export async function startDemo(): Promise<number> {
  const steps = new Steps();
  const image = await steps.step(
    'tiny guest image',
    () => tinyGuestImage(),
    (made) => (made.built ? 'built' : 'in the cache'),
  );
  const lab = await steps.step('three hosts', () => Lab.up({ name: labName, hosts: 3 }));
  await steps.step(
    'manager',
    () => startManager(lab),
    () => url,
  );
  await steps.step('login as admin', () => login(lab));
  await steps.step('hosts join', () => joinHosts(lab));
  await steps.step('pools and network', () => makePools());
  await steps.step('image tiny', () => importImage(lab, image.path));
  await steps.step(`VMs ${vmNames.join(' and ')}`, () => bootVms());
  process.stdout.write(
    [
      '',
      `Kvasir runs at ${url} (${steps.elapsedSeconds().toFixed(0)} s). User admin, password in`,
      `${join(lab.layout.managerDirectory, 'admin-password')}; the CLI is logged in already. Try:`,
      '',
      '  ./kvasir vm list                       the two VMs, and where they run',
      '  ./kvasir vm console web                a terminal in a VM (Ctrl-] leaves)',
      '  ./kvasir vm migrate web h2 --wait      move it live',
      '  ./kvasir lab power-off h2              pull the plug of a host',
      '  ./kvasir lab kill-manager              the VMs go on; ./kvasir lab start-manager brings it back',
      '  ./kvasir demo --stop                   end and remove everything',
      '',
    ].join('\n'),
  );
  return 0;
}

/** Ends everything that the demo started, whatever state it was in. */
export async function stopDemo(): Promise<number> {
  const steps = new Steps();
  await steps.step('end of the demo', () => Lab.remove(labName));
  return 0;
}
