/** Organizations and who administers them. */
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface OrganizationRow extends Versioned {
  readonly name: string;
  readonly description: string;
}

export const organizations = new Table<OrganizationRow>({
  table: 'organizations',
  kind: 'organization',
  columns: { ...versioned, name: 'text', description: 'text' },
});

export interface OrganizationMemberRow {
  readonly organizationId: string;
  readonly userId: string;
  readonly role: 'admin';
  readonly createdAt: number;
}

/** Key: organization and user. Removed with either. */
export const organizationMembers = new Table<OrganizationMemberRow>({
  table: 'organizationMembers',
  kind: 'member',
  columns: { organizationId: 'text', userId: 'text', role: 'text', createdAt: 'integer' },
  key: 'userId',
});
