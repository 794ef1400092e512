/** Logins. Only a hash of the token is kept. Removed with the user. */
import { Table } from './table.ts';

export interface SessionRow {
  readonly id: string;
  readonly userId: string;
  readonly tokenHash: string;
  readonly sourceAddress: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export const sessions = new Table<SessionRow>({
  table: 'sessions',
  kind: 'session',
  columns: {
    id: 'text',
    userId: 'text',
    tokenHash: 'text',
    sourceAddress: 'text',
    createdAt: 'integer',
    expiresAt: 'integer',
  },
});
