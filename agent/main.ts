/** The agent's program: `join` makes this server a host, `run` is the host's process. Exit codes: 0 done, 1 failed, 2 usage. */
import './file-threads.ts';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { freemem, hostname, loadavg, release as kernelRelease } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { startAgent } from './agent.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { type ConfigFlag, configFlags, readConfig } from './config.ts';
import { type Identity, loadIdentity } from './identity.ts';
import { FileJournal } from './journal/file-journal.ts';
import { FileServed } from './journal/served.ts';
import { FileVmMetadata } from './journal/vm-metadata.ts';
import { FileVmSpecs } from './journal/vm-specs.ts';
import { joinManager } from './join.ts';
import { dialManager } from './link/dial.ts';
import { stderrLog } from './log.ts';
import { holdHost } from './only-one.ts';
import { openDrivers } from './open-drivers.ts';
import { systemGoesDown } from './system-shutdown.ts';

const usage = `The process on each host.

  agent join --token-file FILE | --token-stdin   make this server a host
             [--manager HOST:PORT]               default: the one in the token
             [--name NAME] [--address ADDRESS]   default: the host name
             [--data DIR]
  agent run [--data DIR] [--driver libvirt|sim] [--libvirt-socket PATH] [--ovsdb-socket PATH] [--bridge NAME]
            [--datapath-type system|netdev] [--uplink-bridge NAME] [--tunnel-address ADDRESS[/PREFIX]]
            [--virtualization auto|kvm|emulation]
            [--migration-address ADDRESS] [--migration-transport tcp|tls] [--kvm-trial-kernel FILE]
            [--run-directory DIR] [--watchdog-device FILE] [--watchdog-timeout-ms MS] [--uplinks NAME,…]
            [--connections-per-port NUMBER]
            [join's options: joins first when this server is no host yet]

The data directory (default /var/lib/kvasir/agent) holds the host's key, certificate and journal. The settings of
run may stand in its config.json as well.`;

class UsageError extends Error {}

/** Before systemd loses its patience (deploy/kvasir-agent.service). */
const endLeasesWithinMs = 12_000;
const defaultDirectory = '/var/lib/kvasir/agent';
const joinFlags = {
  manager: { type: 'string' },
  'token-file': { type: 'string' },
  'token-stdin': { type: 'boolean' },
  name: { type: 'string' },
  address: { type: 'string' },
  data: { type: 'string' },
} as const;
const runFlags = Object.fromEntries(Object.keys(configFlags).map((flag) => [flag, { type: 'string' as const }]));

interface JoinArguments {
  readonly directory: string;
  readonly manager: string | undefined;
  readonly tokenFile: string | undefined;
  readonly tokenStdin: boolean;
  readonly name: string;
  readonly address: string;
}

function readJoinArguments(values: Readonly<Record<string, string | boolean | undefined>>): JoinArguments {
  const optional = (flag: string): string | undefined => values[flag] as string | undefined;
  const shortName = hostname().split('.')[0]!.toLowerCase();
  const name = optional('name') ?? shortName;
  return {
    directory: optional('data') ?? defaultDirectory,
    manager: optional('manager'),
    tokenFile: optional('token-file'),
    tokenStdin: values['token-stdin'] === true,
    name,
    address: optional('address') ?? name,
  };
}

async function joinNow(input: JoinArguments): Promise<{ readonly identity: Identity; readonly joined: boolean }> {
  const existing = await loadIdentity(input.directory);
  if (existing !== undefined) return { identity: existing, joined: false };
  if ((input.tokenFile === undefined) === !input.tokenStdin)
    throw new UsageError('this server is no host yet: give --token-file FILE or --token-stdin');
  const token = input.tokenFile === undefined ? await text(process.stdin) : await readFile(input.tokenFile, 'utf8');
  return joinManager({ ...input, token: token.trim() });
}

async function runJoin(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...argv], options: joinFlags, strict: true, allowPositionals: false });
  const { identity, joined } = await joinNow(readJoinArguments(values));
  const { name, hostId, manager } = identity.record;
  process.stdout.write(
    joined ? `${name} joined ${manager} as host ${hostId}\n` : `${name} is host ${hostId} already\n`,
  );
}

async function run(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: { ...joinFlags, ...runFlags },
    strict: true,
    allowPositionals: false,
  });
  const input = readJoinArguments(values);
  const { directory } = input;
  const flags = Object.entries(values).filter(([flag]) => flag in configFlags);
  const config = await readConfig(directory, Object.fromEntries(flags) as Partial<Record<ConfigFlag, string>>);
  const { identity } = await joinNow(input);
  const host = { hostId: identity.record.hostId, name: identity.record.name, address: identity.record.address };
  const { version } = JSON.parse(await readFile(join(import.meta.dirname, 'package.json'), 'utf8')) as {
    version: string;
  };
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(new Error(signal)));
  const release = await holdHost(host.hostId);
  const metadata = await FileVmMetadata.open(join(directory, 'metadata'));
  const drivers = await openDrivers(config, host, directory, metadata);
  const agent = await startAgent(
    {
      drivers,
      dial: (signal) => dialManager(identity, signal),
      clock: systemClock,
      fraction: Math.random,
      identity: host,
      instanceId: randomUUID(),
      journal: await FileJournal.open(join(directory, 'journal'), { now: Date.now }),
      specs: await FileVmSpecs.open(join(directory, 'vms')),
      metadata,
      served: await FileServed.load(join(directory, 'served.json')),
      log: stderrLog,
      hostname: hostname(),
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      agentVersion: version,
      versions: { kernel: kernelRelease() },
      status: () => ({ load1: loadavg()[0]!, freeMemoryMib: Math.floor(freemem() / 1024 / 1024) }),
    },
    stop.signal,
  );
  await new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve();
    stop.signal.addEventListener('abort', () => resolve());
    // Keeps the process alive between reconnects: all of the agent's own timers are weak.
    const alive = setInterval(() => {}, 2 ** 30);
    stop.signal.addEventListener('abort', () => clearInterval(alive));
  });
  await agent.close();
  if (await systemGoesDown()) {
    const ended = await drivers.liveness.end(endLeasesWithinMs);
    stderrLog(
      ended
        ? 'the system goes down: all leases are taken back'
        : 'the system goes down with leases that could not be taken back',
    );
  }
  release();
}

async function main([command, ...rest]: readonly string[]): Promise<number> {
  try {
    if (command === 'help' || [command, ...rest].some((word) => word === '--help' || word === '-h'))
      process.stdout.write(`${usage}\n`);
    else if (command === 'join') await runJoin(rest);
    else if (command === 'run') await run(rest);
    else throw new UsageError(command === undefined ? 'give a command' : `'${command}' is no command`);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const isUsage =
      error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
    process.stderr.write(isUsage ? `kvasir agent: ${message}\n\n${usage}\n` : `kvasir agent: ${message}\n`);
    return isUsage ? 2 : 1;
  }
}

// Whatever a driver still holds: a process that lingers is not started anew.
if (import.meta.main) process.exit(await main(process.argv.slice(2)));
