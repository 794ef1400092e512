/** Users, with the argon2id hash of their password. */
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface UserRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly systemRole: 'none' | 'viewer' | 'admin';
  readonly disabled: boolean;
  readonly passwordHash: string;
}

export const users = new Table<UserRow>({
  table: 'users',
  kind: 'user',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    systemRole: 'text',
    disabled: 'flag',
    passwordHash: 'text',
  },
});
