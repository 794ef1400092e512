/**
 * The manager's program: `serve` is the control plane, `create-token` gives a program of the same machine its access. The log goes
 * to stderr as JSON lines; what a person wants to know goes to stdout. Exit codes: 0 done, 1 failed, 2 usage.
 */
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import type { ListenAddress } from './hosts/link-server.ts';
import { createLocalToken } from './local-token.ts';
import { databaseAddress, startManager } from './start.ts';

// Everything in the data folder is for its owner alone.
process.umask(0o077);

const usage = `The control plane.

  manager serve --data DIR [--listen 127.0.0.1:8080] [--tls-key FILE --tls-cert FILE]
                [--agent-listen HOST:PORT|unix:/path] [--agent-address HOST:PORT]
                [--database sqlite|postgres://…] [--log-level info]
  manager create-token --data DIR --output FILE [--user admin] [--name local] [--database …]

The data directory holds the database (sqlite), the keys and the first administrator's password; it is its owner's alone.
A password for PostgreSQL belongs into PGPASSWORD or ~/.pgpass, not into the address.`;

const { values, positionals } = readCommandLine();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const [command, ...rest] = positionals;
if (rest.length > 0) fail(`Unknown argument ${rest[0]}`);
if (command !== undefined && command !== 'serve' && command !== 'create-token') {
  fail(`Unknown command ${command}; there are: serve, create-token`);
}
const dataFolder = values.data ?? fail('--data DIR is missing');

if (command === 'create-token') {
  await createLocalToken({
    databaseAddress: databaseAddress({ dataFolder, database: values.database }),
    userName: values.user,
    tokenName: values.name,
    output: values.output ?? fail('--output FILE is missing: the secret is written there, mode 0600'),
  });
} else {
  await serve();
}

function readCommandLine() {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        data: text,
        database: { ...text, default: process.env.KVASIR_DATABASE ?? 'sqlite' },
        listen: { ...text, default: '127.0.0.1:8080' },
        'agent-listen': text,
        'agent-address': text,
        'tls-key': text,
        'tls-cert': text,
        'log-level': { ...text, default: 'info' },
        user: { ...text, default: 'admin' },
        name: { ...text, default: 'local' },
        output: text,
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    return fail((error as Error).message);
  }
}

async function serve(): Promise<void> {
  const redact = [
    '*.password',
    '*.token',
    '*.secret',
    '*.authorization',
    'req.headers.authorization',
    'details.*.password',
  ];
  const log = pino({ level: values['log-level'], redact }, pino.destination({ fd: 2, sync: true }));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'the manager ends');
    process.exit(70);
  });
  const manager = await startManager({
    dataFolder,
    database: values.database,
    listen: hostAndPort(values.listen),
    tls: readTls(values['tls-key'], values['tls-cert']),
    agentListen: values['agent-listen'] === undefined ? undefined : listenAddress(values['agent-listen']),
    agentAddress: values['agent-address'],
    log,
  }).catch((error: unknown) => {
    log.fatal({ err: error }, 'the manager cannot start');
    process.exit(1);
  });
  const { firstAdmin } = manager;
  if (firstAdmin) {
    // A pipe may well end in a log file; a terminal ends before eyes.
    const shown = process.stdout.isTTY ? `password ${firstAdmin.password}` : 'the password is in the file below';
    console.log(`First start: log in as ${firstAdmin.userName}, ${shown}\n${firstAdmin.passwordFile}`);
  }
  console.log(`Kvasir manager at ${manager.address}`);
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      log.info({ signal }, 'the manager stops');
      manager.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, 'the manager did not stop well');
          process.exit(1);
        },
      );
    });
  }
}

function readTls(key: string | undefined, cert: string | undefined): { key: string; cert: string } | undefined {
  if (key === undefined && cert === undefined) return undefined;
  if (key === undefined || cert === undefined) return fail('--tls-key and --tls-cert go together');
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

function listenAddress(value: string): ListenAddress {
  return value.startsWith('unix:') ? { path: value.slice('unix:'.length) } : hostAndPort(value);
}

function hostAndPort(value: string): { host: string; port: number } {
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(value) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535) return fail(`${value} is not HOST:PORT`);
  return { host, port: Number(port) };
}

function fail(message: string): never {
  console.error(`kvasir manager: ${message}\n\n${usage}`);
  process.exit(2);
}
