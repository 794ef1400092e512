/** One-time tokens with which servers join. Only a hash is kept. */
import type { Tx } from './database.ts';
import { Table } from './table.ts';

export interface JoinTokenRow {
  readonly id: string;
  readonly tokenHash: string;
  readonly clusterId: string;
  readonly userId: string | null;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly usedAt: number | null;
  /** The host that came of it. */
  readonly hostId: string | null;
}

export const joinTokens = new Table<JoinTokenRow>({
  table: 'joinTokens',
  kind: 'join token',
  columns: {
    id: 'text',
    tokenHash: 'text',
    clusterId: 'text',
    userId: 'text',
    createdAt: 'integer',
    expiresAt: 'integer',
    usedAt: 'integer',
    hostId: 'text',
  },
});

/** Marks a valid token as used and answers it; undefined when there is none, it was used or its time is over. */
export async function useJoinToken(
  tx: Tx,
  tokenHash: string,
  use: { readonly now: number; readonly hostId: string },
): Promise<JoinTokenRow | undefined> {
  const used = await tx
    .updateTable('joinTokens')
    .set({ usedAt: use.now, hostId: use.hostId })
    .where('tokenHash', '=', tokenHash)
    .where('usedAt', 'is', null)
    .where('expiresAt', '>', use.now)
    .returningAll()
    .executeTakeFirst();
  return used && joinTokens.decode(used);
}
