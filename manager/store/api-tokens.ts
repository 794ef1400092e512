/** Tokens for programs: the name is unique for its user; only a hash of the secret is kept. Removed with the user. */
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface ApiTokenRow extends Versioned {
  readonly name: string;
  readonly userId: string;
  readonly tokenHash: string;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

export const apiTokens = new Table<ApiTokenRow>({
  table: 'apiTokens',
  kind: 'API token',
  columns: {
    ...versioned,
    name: 'text',
    userId: 'text',
    tokenHash: 'text',
    expiresAt: 'integer',
    lastUsedAt: 'integer',
  },
});
