/** Failures of VMs themselves, not of their hosts: what was seen and what was done, so that it can be counted. */
import type { VmFailureKind, VmFailureReaction } from '@kvasir/control/ha/vm-failure.ts';
import type { Executor } from './database.ts';
import { Table } from './table.ts';

export interface VmFailureRow {
  readonly id: string;
  readonly vmId: string;
  readonly hostId: string | null;
  readonly incidentId: string;
  readonly kind: VmFailureKind;
  readonly reaction: VmFailureReaction;
  readonly because: string;
  /** Of a reset. */
  readonly taskId: string | null;
  readonly at: number;
  /** Null while it goes on: at most one for each VM. */
  readonly endedAt: number | null;
}

export const vmFailures = new Table<VmFailureRow>({
  table: 'vmFailures',
  kind: 'failure',
  columns: {
    id: 'text',
    vmId: 'text',
    hostId: 'text',
    incidentId: 'text',
    kind: 'text',
    reaction: 'text',
    because: 'text',
    taskId: 'text',
    at: 'integer',
    endedAt: 'integer',
  },
});

/** The failure of a VM that goes on. */
export async function openFailure(ex: Executor, vmId: string): Promise<VmFailureRow | undefined> {
  return await vmFailures.find(ex, { vmId, endedAt: null });
}
