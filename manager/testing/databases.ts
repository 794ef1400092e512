/**
 * Both databases for tests. `forEachDatabase('store', (open) => { test(…) })` declares the tests twice, once on SQLite and
 * once on PostgreSQL; `open()` answers a new, empty, migrated database that is closed after the test file. Each process makes
 * the schema once for each of them and copies it, for to make it takes longer than most tests.
 */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { type DatabaseKind, openDatabase, type Store } from '../store/database.ts';
import { memoryFolder } from './memory-folder.ts';
import { type PostgresServer, postgresServer } from './postgres-server.ts';

export type OpenStore = () => Promise<Store>;

type Declare = (open: OpenStore, kind: DatabaseKind) => void;

export function forEachDatabase(name: string, declare: Declare): void {
  for (const kind of ['sqlite', 'postgres'] as const) onDatabase(kind, name, declare);
}

/** On one of them. */
export function onDatabase(kind: DatabaseKind, name: string, declare: Declare): void {
  describe(`${name} on ${kind}`, () => {
    const opened: (() => Promise<void>)[] = [];
    after(async () => {
      for (const close of opened.reverse()) await close();
    });
    declare(async () => {
      const { store, close } = kind === 'sqlite' ? await openSqlite() : await openPostgres();
      opened.push(close);
      return store;
    }, kind);
  });
}

interface Opened {
  readonly store: Store;
  readonly url: string;
  close(): Promise<void>;
}

let sqliteTemplate: Promise<string> | undefined;
let postgresTemplate: Promise<string> | undefined;

after(async () => {
  if (sqliteTemplate !== undefined) await rm(await sqliteTemplate, { recursive: true });
});

export async function openSqlite(): Promise<Opened> {
  sqliteTemplate ??= makeSqliteTemplate();
  const template = await sqliteTemplate;
  const folder = await mkdtemp(join(memoryFolder, 'kvasir-store-'));
  await copyFile(join(template, 'state.db'), join(folder, 'state.db'));
  const url = `sqlite:${join(folder, 'state.db')}`;
  const store = await openDatabase(url);
  const close = async () => {
    await store.close();
    await rm(folder, { recursive: true });
  };
  return { store, url, close };
}

async function makeSqliteTemplate(): Promise<string> {
  const folder = await mkdtemp(join(memoryFolder, 'kvasir-store-template-'));
  // Closing brings everything into the one file.
  await (await openDatabase(`sqlite:${join(folder, 'state.db')}`)).close();
  return folder;
}

export async function openPostgres(): Promise<Opened> {
  const server = await postgresServer();
  postgresTemplate ??= makePostgresTemplate(server);
  const url = await server.createDatabase(await postgresTemplate);
  const store = await openDatabase(url);
  return { store, url, close: () => store.close() };
}

async function makePostgresTemplate(server: PostgresServer): Promise<string> {
  const url = await server.createDatabase();
  await (await openDatabase(url)).close();
  return url;
}
