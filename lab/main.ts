/**
 * The lab's own program, started by the launcher for `kvasir lab`, `kvasir demo` and `kvasir test`. Owns reading the
 * command line and printing; all work is in lab.ts, demo.ts and test.ts. Exit codes: 0 done, 1 failed, 2 usage.
 */
import { parseArgs } from 'node:util';
import { demoLabName, startDemo, startManager, stopDemo } from './demo.ts';
import { tinyGuestImage } from './guest/build.ts';
import { bmcModes } from './bmc.ts';
import { Lab } from './lab.ts';
import { readLabArguments } from './lab-arguments.ts';
import { networks } from './layout.ts';
import type { LabNetwork } from './layout.ts';
import { test } from './test.ts';

const usage = `Several real hosts on this one machine, for evaluation and tests.

  kvasir lab up [--hosts N]            make the lab, or complete it (3 hosts unless told)
  kvasir lab down                      end and remove all of it
  kvasir lab status [-o json]          what runs
  kvasir lab power-off HOST            power failure
  kvasir lab power-on HOST             boot
  kvasir lab bmc HOST --ok|--slow|--broken|--lies   how its power device behaves
  kvasir lab cut HOST [--network N]    cut it off: management, storage or vm; all three unless told
  kvasir lab heal HOST [--network N]   plug it in again
  kvasir lab kill-agent HOST [--stay-down]
  kvasir lab start-agent HOST
  kvasir lab kill-manager              kill -9
  kvasir lab start-manager
  kvasir lab exec HOST COMMAND…        run a command inside a host
  kvasir lab guest-image               build the tiny guest image, print its path

All take --name LAB (demo unless told). HOST is h1, h2 …`;

class UsageError extends Error {}

function network(value: string | undefined): readonly LabNetwork[] {
  if (value === undefined) return networks;
  const known = networks.find((name) => name === value);
  if (known === undefined) throw new UsageError(`--network: '${value}' is none of ${networks.join(', ')}`);
  return [known];
}

function hosts(value: string | undefined): number {
  const count = Number(value ?? '3');
  if (!(Number.isInteger(count) && count >= 1 && count <= 32))
    throw new UsageError(`--hosts: '${value}' is not 1 to 32`);
  return count;
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Prints each step with the time since the start. */
function clockedProgress(): (step: string) => void {
  const started = performance.now();
  return (step) => tell(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${step}`);
}

function printStatus(lab: Lab, format: string | undefined): void {
  const status = lab.status();
  if (format === 'json') {
    process.stdout.write(`${JSON.stringify(status, undefined, 2)}\n`);
    return;
  }
  const rows = [
    ['HOST', 'POWER', 'ADDRESS', 'AGENT', 'BMC', 'WATCHDOG', 'CUT OFF'],
    ...status.hosts.map((host) => [
      host.name,
      host.power,
      host.managementAddress,
      host.agent,
      `${host.bmc.port ?? '-'}${host.bmc.mode === 'ok' ? '' : ` ${host.bmc.mode}`}`,
      `${host.watchdog}${host.watchdogResets > 0 ? `, ${host.watchdogResets} resets` : ''}`,
      host.cuts.join(', ') || '-',
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows)
    process.stdout.write(
      `${row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
  process.stdout.write(`manager ${status.manager}, lab ${status.name}\n`);
}

async function runInHost(lab: Lab, hostName: string, argv: readonly string[]): Promise<number> {
  const { spawn } = await import('node:child_process');
  const [file, ...args] = lab.host(hostName).command(argv);
  const child = spawn(file ?? '', args, { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
  });
}

async function labCommand(args: readonly string[]): Promise<number> {
  const { values, positionals, inner } = readLabArguments(args);
  const [command, hostName, ...rest] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(`${usage}\n`);
    return command === undefined && !values.help ? 2 : 0;
  }
  const target = (): string => {
    if (hostName === undefined || rest.length > 0) throw new UsageError(`lab ${command} takes one host`);
    return hostName;
  };
  const noTarget = (): void => {
    if (hostName !== undefined) throw new UsageError(`lab ${command}: '${hostName}' is one word too many`);
  };
  switch (command) {
    case 'up':
      noTarget();
      printStatus(
        await Lab.up({ name: values.name, hosts: hosts(values.hosts), progress: clockedProgress() }),
        values.output,
      );
      return 0;
    case 'down':
      noTarget();
      await Lab.remove(values.name, clockedProgress());
      return 0;
    case 'status':
      noTarget();
      printStatus(Lab.open(values.name), values.output);
      return 0;
    case 'power-off':
      await Lab.open(values.name).powerOff(target());
      return 0;
    case 'power-on':
      await Lab.open(values.name).powerOn(target());
      return 0;
    case 'bmc': {
      const asked = bmcModes.filter((mode) => values[mode]);
      if (asked[0] === undefined || asked.length > 1)
        throw new UsageError('lab bmc takes one of --ok, --slow, --broken, --lies');
      Lab.open(values.name).setBmc(target(), asked[0]);
      return 0;
    }
    case 'cut':
      await Lab.open(values.name).cut(target(), network(values.network));
      return 0;
    case 'heal':
      await Lab.open(values.name).heal(target(), network(values.network));
      return 0;
    case 'kill-agent':
      if (!(await Lab.open(values.name).killAgent(target(), { stayDown: values['stay-down'] }))) tell('no agent ran');
      return 0;
    case 'start-agent':
      await Lab.open(values.name).startAgent(target());
      return 0;
    case 'kill-manager':
      noTarget();
      if (!(await Lab.open(values.name).killManager())) tell('no manager ran');
      return 0;
    case 'start-manager':
      noTarget();
      await startManager(Lab.open(values.name));
      return 0;
    case 'guest-image':
      noTarget();
      process.stdout.write(`${(await tinyGuestImage(clockedProgress())).path}\n`);
      return 0;
    case 'exec':
      if (hostName === undefined || inner.length === 0) throw new UsageError('lab exec takes a host and a command');
      return runInHost(Lab.open(values.name), hostName, inner);
    default:
      throw new UsageError(`'${command}' is no command of the lab`);
  }
}

async function demoCommand(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      stop: { type: 'boolean', default: false },
      name: { type: 'string', default: demoLabName },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write('kvasir demo           start a manager, three hosts and two VMs, and leave them running\n');
    process.stdout.write('kvasir demo --stop    end and remove all of it\n');
    process.stdout.write('Both take --name LAB (demo unless told); several demos may run at once.\n');
    return 0;
  }
  return values.stop ? stopDemo(values.name) : startDemo(values.name);
}

async function testCommand(words: readonly string[]): Promise<number> {
  const option = words.find((word) => word.startsWith('-'));
  if (option === '--help' || option === '-h') {
    process.stdout.write('kvasir test           run every check, then every end-to-end test\n');
    process.stdout.write(
      'kvasir test WORD…     run the end-to-end tests whose file has one of the words in its path\n',
    );
    process.stdout.write('The last line is "N passed, N failed".\n');
    return 0;
  }
  if (option !== undefined) throw new UsageError(`test: '${option}' is no option`);
  return test(words);
}

async function main(argv: readonly string[]): Promise<number> {
  if (process.getuid?.() !== 0) throw new UsageError('only root can make hosts out of namespaces');
  const [command, ...args] = argv;
  if (command === 'lab') return labCommand(args);
  if (command === 'demo') return demoCommand(args);
  if (command === 'test') return testCommand(args);
  throw new UsageError(`'${command ?? ''}' is none of demo, lab, test`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
  tell(`kvasir: ${error instanceof Error ? error.message : String(error)}`);
  if (isUsage) tell(`'kvasir ${process.argv[2] ?? 'lab'} --help' tells more`);
  process.exitCode = isUsage ? 2 : 1;
}
