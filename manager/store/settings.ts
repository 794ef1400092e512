/** Single values of the manager itself: its CA, what the first start has done. */
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface SettingRow {
  readonly key: string;
  readonly value: unknown;
}

export const settings = new Table<SettingRow>({
  table: 'settings',
  kind: 'setting',
  columns: { key: 'text', value: 'json' },
  key: 'key',
});

/** Undefined when it was never written. The caller knows the type that it wrote. */
export async function readSetting<T>(ex: Executor, key: string): Promise<T | undefined> {
  return (await settings.find(ex, { key }))?.value as T | undefined;
}

export async function writeSetting(tx: Tx, key: string, value: unknown): Promise<void> {
  await settings.put(tx, { key, value }, ['key']);
}
