/** Projects with their quota, and who works in them. Names are unique over all organizations. */
import type { Quota } from '@kvasir/api/resources/project.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface ProjectRow extends Versioned {
  readonly name: string;
  readonly organizationId: string;
  readonly description: string;
  readonly quota: Quota;
}

export const projects = new Table<ProjectRow>({
  table: 'projects',
  kind: 'project',
  columns: { ...versioned, name: 'text', organizationId: 'text', description: 'text', quota: 'json' },
});

export interface ProjectMemberRow {
  readonly projectId: string;
  readonly userId: string;
  readonly role: 'viewer' | 'member' | 'admin';
  readonly createdAt: number;
}

/** Key: project and user. Removed with either. */
export const projectMembers = new Table<ProjectMemberRow>({
  table: 'projectMembers',
  kind: 'member',
  columns: { projectId: 'text', userId: 'text', role: 'text', createdAt: 'integer' },
  key: 'userId',
});
