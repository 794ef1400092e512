/**
 * Puts one manager together: its state, its core, its API. Order matters: the data folder is
 * locked first, the API listens last; at the end the API goes first and the store last.
 */
import { mkdir, readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Clock, systemClock } from '@kvasir/api/clock.ts';
import { type Ids, systemIds } from './ids.ts';
import { openCore } from './core.ts';
import { type DataLock, lockDataFolder } from './data-lock.ts';
import { type FirstAdmin, makeFirstAdmin } from './first-admin.ts';
import type { ListenAddress } from './hosts/link-server.ts';
import type { Hosts } from './hosts/hosts.ts';
import { createServer } from './http/server.ts';
import { isDeadProcess, processIdentity } from './process-identity.ts';
import type { Environment } from './services/call.ts';
import { FileSpool } from './services/file-spool.ts';
import { SecretBox } from './secret-box.ts';
import { bootstrap } from './store/bootstrap.ts';
import { openDatabase } from './store/database.ts';

export interface ManagerOptions {
  /** Folder of this manager: SQLite's file, uploads, the first password. Made when it is not there. */
  readonly dataFolder: string;
  /** `sqlite` (in the data folder) or `postgres://…`. */
  readonly database: string;
  /** Where people's programs connect. Port 0: any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  /** Where agents dial in; left out: nowhere. */
  readonly agentListen?: ListenAddress | undefined;
  /** HOST:PORT that join tokens tell agents to dial. */
  readonly agentAddress?: string | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly ids?: Ids;
}

export interface Manager {
  /** `http://127.0.0.1:8080` */
  readonly address: string;
  /** Set at the first start. */
  readonly firstAdmin: FirstAdmin | undefined;
  readonly env: Environment;
  readonly hosts: Hosts;
  stop(): Promise<void>;
}

export async function startManager(options: ManagerOptions): Promise<Manager> {
  const { dataFolder, log } = options;
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  const undo: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const lock: DataLock = lockDataFolder(dataFolder);
    undo.push(() => lock.release());
    return await compose({ ...options, log }, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function compose(
  options: ManagerOptions,
  undo: (() => Promise<void> | void)[],
  stop: () => Promise<void>,
): Promise<Manager> {
  const { dataFolder, log } = options;
  const clock = options.clock ?? systemClock;
  const ids = options.ids ?? systemIds;
  const store = await openDatabase(databaseAddress(options), clock);
  undo.push(() => store.close());
  await bootstrap(store, { clock, ids });
  const firstAdmin = await makeFirstAdmin(store, { clock, ids }, dataFolder);
  const note = (message: string, details: unknown = {}): void => log.info({ details: plain(details) }, message);
  const spool = new FileSpool(join(dataFolder, 'uploads'));
  await spool.prepare();
  const core = await openCore({
    store,
    clock,
    ids,
    version: await ownVersion(),
    spool,
    holder: processIdentity(options.listen.port),
    secrets: await SecretBox.open(dataFolder),
    isDead: isDeadProcess,
    listen: options.agentListen,
    advertised: options.agentAddress,
    log: note,
  });
  undo.push(() => core.stop());
  const { env, hosts, leadership } = core;
  const leads = (): boolean => leadership.epoch !== undefined;
  const app = await createServer(env, { logger: log, tls: options.tls, leads });
  undo.push(async () => {
    env.feed.close();
    await app.close();
  });
  core.start();
  await app.listen(options.listen);
  const { address, port, family } = app.server.address() as AddressInfo;
  const host = family === 'IPv6' ? `[${address}]` : address;
  return { address: `${options.tls ? 'https' : 'http'}://${host}:${port}`, firstAdmin, env, hosts, stop };
}

/** What `openDatabase` takes. */
export function databaseAddress({ database, dataFolder }: Pick<ManagerOptions, 'database' | 'dataFolder'>): string {
  return database === 'sqlite' ? `sqlite:${join(dataFolder, 'state.db')}` : database;
}

async function ownVersion(): Promise<string> {
  const text = await readFile(new URL('package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Errors have no enumerable fields; a log must show them all the same. */
function plain(details: unknown): unknown {
  if (details instanceof Error) return { message: details.message, stack: details.stack };
  if (typeof details !== 'object' || details === null) return details;
  return Object.fromEntries(
    Object.entries(details).map(([key, value]) => [key, value instanceof Error ? plain(value) : value]),
  );
}
