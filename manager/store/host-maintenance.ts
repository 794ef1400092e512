/** Hosts that are taken out by an operator, or are on their way there. */
import { Table } from './table.ts';

export interface HostMaintenanceRow {
  readonly hostId: string;
  /** It took new VMs before: so it does again when it is back. */
  readonly wasSchedulable: boolean;
  /** The task that empties it, or did. */
  readonly taskId: string;
  readonly since: number;
  /** VMs that were to leave. */
  readonly total: number;
}

export const hostMaintenance = new Table<HostMaintenanceRow>({
  table: 'hostMaintenance',
  kind: 'host',
  columns: { hostId: 'text', wasSchedulable: 'flag', taskId: 'text', since: 'integer', total: 'integer' },
  key: 'hostId',
});
