/** Who asked for which change, and how it was answered. Written for every request that is not a plain read; never changed. */
import { Table } from './table.ts';

export interface AuditRow {
  readonly id: string;
  readonly at: number;
  readonly userId: string | null;
  readonly userName: string | null;
  /** e.g. vm.create */
  readonly operation: string;
  readonly path: string;
  readonly status: number;
  readonly code: string | null;
  readonly projectId: string | null;
  readonly sourceAddress: string;
}

export const audit = new Table<AuditRow>({
  table: 'audit',
  kind: 'audit entry',
  columns: {
    id: 'text',
    at: 'integer',
    userId: 'text',
    userName: 'text',
    operation: 'text',
    path: 'text',
    status: 'integer',
    code: 'text',
    projectId: 'text',
    sourceAddress: 'text',
  },
});
