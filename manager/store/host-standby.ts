/** Hosts that power saving or an operator switched off because nothing needs them, or that are on their way there or back. */
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface HostStandbyRow {
  readonly hostId: string;
  /** It took new VMs before: so it does again when it is back. */
  readonly wasSchedulable: boolean;
  /** failed: it was woken and did not come up. In any of them it is back when it is heard and no task works on it. */
  readonly phase: 'entering' | 'standby' | 'waking' | 'failed';
  readonly byPolicy: boolean;
  readonly because: string;
  /** The task that works on it, or did last. */
  readonly taskId: string;
  /** Since when it is in this phase. */
  readonly since: number;
}

export const hostStandby = new Table<HostStandbyRow>({
  table: 'hostStandby',
  kind: 'host',
  columns: {
    hostId: 'text',
    wasSchedulable: 'flag',
    phase: 'text',
    byPolicy: 'flag',
    because: 'text',
    taskId: 'text',
    since: 'integer',
  },
  key: 'hostId',
});

/** Whether the power devices of a host answered when they were asked last. */
export interface HostPowerCheckRow {
  readonly hostId: string;
  readonly at: number;
  /** Null: one of them did. */
  readonly error: string | null;
}

export const hostPowerChecks = new Table<HostPowerCheckRow>({
  table: 'hostPowerChecks',
  kind: 'host',
  columns: { hostId: 'text', at: 'integer', error: 'text' },
  key: 'hostId',
});

export async function standbyOf(ex: Executor, hostId: string): Promise<HostStandbyRow | undefined> {
  return await hostStandby.find(ex, { hostId });
}

export async function setStandby(tx: Tx, hostId: string, changes: Partial<HostStandbyRow>): Promise<void> {
  await hostStandby.set(tx, { hostId }, changes);
}
