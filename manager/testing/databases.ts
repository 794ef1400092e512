/**
 * Both databases for tests. `forEachDatabase('store', (open) => { test(…) })` declares the tests twice, once on SQLite and
 * once on PostgreSQL; `open()` answers a new, empty, migrated database that is closed after the test file.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { type DatabaseKind, openDatabase, type Store } from '../store/database.ts';
import { postgresServer } from './postgres-server.ts';

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

export async function openSqlite(): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-store-'));
  const url = `sqlite:${join(folder, 'state.db')}`;
  const store = await openDatabase(url);
  const close = async () => {
    await store.close();
    await rm(folder, { recursive: true });
  };
  return { store, url, close };
}

export async function openPostgres(): Promise<Opened> {
  const url = await (await postgresServer()).createDatabase();
  const store = await openDatabase(url);
  return { store, url, close: () => store.close() };
}
