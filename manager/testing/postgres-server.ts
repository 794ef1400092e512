/**
 * One private PostgreSQL server for a test process: Debian's binaries, as user postgres when we are root (the server
 * refuses root), on a unix socket in a temporary folder. Initializing takes seconds, so a fresh data folder is kept as a
 * template in the system's temporary folder. The server dies with this process, also when that is killed; nothing of it has to
 * survive the machine, so it lies in memory and never waits for a disk.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, chown, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '@kvasir/api/clock.ts';
import { Client } from 'pg';
import { memoryFolder } from './memory-folder.ts';

const run = promisify(execFile);

export interface PostgresServer {
  /** Address of a new database: empty, or a copy of another one that nobody is connected to. */
  createDatabase(copyOf?: string): Promise<string>;
  stop(): Promise<void>;
}

let running: Promise<PostgresServer> | undefined;

/** Starts the server at the first call; it is stopped after the last test. */
export async function postgresServer(): Promise<PostgresServer> {
  running ??= start();
  return await running;
}

after(async () => {
  await (await running)?.stop();
});

async function start(): Promise<PostgresServer> {
  const binaries = await newestBinaries();
  const user = await serverUser();
  const folder = await mkdtemp(join(memoryFolder, 'kvasir-postgres-'));
  await chown(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  await run('cp', ['--archive', '--reflink=auto', await template(binaries, user), data]);
  const options = {
    port: '5432',
    unix_socket_directories: folder,
    listen_addresses: '',
    shared_buffers: '32MB',
    fsync: 'off',
    full_page_writes: 'off',
  };
  const settings = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(...user.command(join(binaries, 'postgres'), ['-D', data, ...settings]), { stdio: 'ignore' });
  const addressOf = (name: string): string =>
    `postgres://postgres@localhost/${name}?host=${encodeURIComponent(folder)}`;
  const administrator = await connected(server, addressOf('postgres'));
  // It learns of the stop by a broken connection.
  administrator.on('error', () => {});
  let databases = 0;
  return {
    createDatabase: async (copyOf) => {
      databases += 1;
      const template = copyOf === undefined ? '' : ` template ${new URL(copyOf).pathname.slice(1)}`;
      await administrator.query(`create database test${databases}${template}`);
      return addressOf(`test${databases}`);
    },
    stop: async () => {
      await ended(server, () => server.kill('SIGQUIT'));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function connected(server: ChildProcess, connectionString: string): Promise<Client> {
  for (;;) {
    if (server.exitCode !== null) throw new Error(`PostgreSQL ended with ${server.exitCode}`);
    const client = new Client({
      connectionString,
      keepAlive: false,
      keepAliveInitialDelayMillis: 0,
      application_name: 'tests',
    });
    try {
      await client.connect();
      return client;
    } catch {
      await client.end();
      await systemClock.sleep(20);
    }
  }
}

async function ended(server: ChildProcess, end: () => void): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => void server.once('exit', () => resolve()));
  end();
  await exit;
}

async function newestBinaries(): Promise<string> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root);
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error(`There is no PostgreSQL below ${root}`);
  return join(root, newest, 'bin');
}

interface ServerUser {
  readonly uid: number;
  readonly gid: number;
  command(program: string, args: readonly string[]): [string, string[]];
}

async function serverUser(): Promise<ServerUser> {
  const uid = process.getuid!();
  const death = ['--pdeathsig', 'QUIT'];
  if (uid !== 0) {
    return { uid, gid: process.getgid!(), command: (program, args) => ['setpriv', [...death, program, ...args]] };
  }
  const id = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout);
  const identity = ['--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'];
  return {
    uid: await id('-u'),
    gid: await id('-g'),
    command: (program, args) => ['setpriv', [...identity, ...death, program, ...args]],
  };
}

/** A data folder as `initdb` makes it; the first who needs it makes it, the rename decides between two. */
async function template(binaries: string, user: ServerUser): Promise<string> {
  const version = binaries.split('/').at(-2)!;
  const path = join(tmpdir(), `kvasir-postgres-template-${version}-${user.uid}`);
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists) return path;
  const made = await mkdtemp(`${path}-`);
  await chown(made, user.uid, user.gid);
  await chmod(made, 0o700);
  const args = ['-D', made, '-U', 'postgres', '-A', 'trust', '--no-locale', '-E', 'UTF8', '--no-sync'];
  await run(...user.command(join(binaries, 'initdb'), args));
  try {
    await rename(made, path);
  } catch {
    await rm(made, { recursive: true });
  }
  return path;
}
