/** Writes what a VM was seen to be into its row, and says so. */
import type { Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { type VmRow, vms } from '../store/vms.ts';
import type { VmChanges } from './observe-vm.ts';

export async function changeVm(
  tx: Tx,
  row: VmRow,
  changes: VmChanges,
  because: string | null,
  now: number,
): Promise<void> {
  await vms.set(tx, { id: row.id }, changes);
  const common = {
    at: now,
    target: { kind: 'vm', id: row.id, name: row.name },
    projectId: row.projectId,
  };
  if (changes.state !== undefined && changes.state !== row.state) {
    const reason = changes.stateReason ?? because;
    await appendEvent(tx, {
      ...common,
      kind: 'vm.state-changed',
      severity: changes.state === 'crashed' || changes.state === 'unknown' ? 'warning' : 'info',
      message: `VM ${row.name} is ${changes.state}${reason === null ? '' : `: ${reason}`}`,
      details: { from: row.state, to: changes.state, reason },
    });
  }
  if (changes.drift !== undefined && changes.drift.length > 0) {
    await appendEvent(tx, {
      ...common,
      kind: 'vm.drifted',
      severity: 'warning',
      message: `Somebody changed VM ${row.name} on its host: ${changes.drift.join('; ')}`,
      details: { drift: changes.drift },
    });
  }
}
