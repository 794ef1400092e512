/** What high availability thinks of each host. A host without a row is `running`. */
import type { HostHaState } from '@kvasir/control/ha/snapshot.ts';
import type { Tx } from './database.ts';
import { Table } from './table.ts';

export interface HostHaRow {
  readonly hostId: string;
  readonly state: HostHaState;
  readonly because: string | null;
  /** Since when it is in this state. */
  readonly since: number;
  /** The last boot that the host spoke of. */
  readonly bootId: string | null;
}

export const hostHa = new Table<HostHaRow>({
  table: 'hostHa',
  kind: 'host',
  columns: { hostId: 'text', state: 'text', because: 'text', since: 'integer', bootId: 'text' },
  key: 'hostId',
});

export async function setHostHa(tx: Tx, hostId: string, changes: Partial<HostHaRow>): Promise<void> {
  const row = (await hostHa.find(tx, { hostId })) ?? {
    hostId,
    state: 'running',
    because: null,
    since: 0,
    bootId: null,
  };
  await hostHa.put(tx, { ...row, ...changes }, ['hostId']);
}
