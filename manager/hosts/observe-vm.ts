/**
 * What a host's report of a domain means for the VM's row. Pure.
 *
 * Invariants: a report from a host that is not the VM's changes nothing, save that of a migration's destination where the
 * VM runs already; what a task is making (`creating`) or gave up (`failed`, `trashed`) keeps its state; a domain that is not
 * there is `stopped` only when no task works on the VM, for a task may just be moving it.
 */
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { VmRow } from '../store/vms.ts';

export type VmChanges = Partial<
  Pick<VmRow, 'state' | 'stateReason' | 'desiredState' | 'guest' | 'drift' | 'startedAt'>
>;

export interface Observation {
  readonly hostId: string;
  /** Null: the host has no domain of this VM. */
  readonly report: DomainReport | null;
  /** A task holds the VM's lock. */
  readonly locked: boolean;
  /** The VM runs for good on the destination of its migration, as far as reports tell. */
  readonly arrivedElsewhere: boolean;
}

/** Columns to set; null: nothing changes. */
export function observeVm(row: VmRow, { hostId, report, locked, arrivedElsewhere }: Observation): VmChanges | null {
  if (row.state === 'trashed' || row.state === 'failed') return null;
  if (row.hostId === hostId) {
    if (arrivedElsewhere) return null;
    if (report === null) return locked ? null : observeAbsence(row);
    if (report.incoming) return null;
    return differences(row, { ...seen(row, report), ...(locked ? {} : wish(row, report)), ...lost(row, report) });
  }
  if (row.reservedHostId === hostId && report !== null && isActive(report)) return differences(row, seen(row, report));
  return null;
}

/** Runs, or holds its memory, for good on the host that reports it. */
export function isActive(report: DomainReport): boolean {
  return !report.incoming && (report.state === 'running' || report.state === 'paused');
}

function seen(row: VmRow, report: DomainReport): VmChanges {
  return {
    ...(row.state === 'creating' ? {} : { state: report.state, stateReason: report.reason }),
    guest: report.guest,
    drift: report.drift,
    startedAt: report.startedAtMs,
  };
}

/** Who shuts a VM down from inside wants it to be off: nothing shall start it again by itself. */
function wish(row: VmRow, report: DomainReport): VmChanges {
  const ended = report.state === 'stopped' && report.reason === 'shutdown' && row.state !== 'stopped';
  return ended && row.desiredState === 'running' ? { desiredState: 'stopped' } : {};
}

/** Off, and nobody can say who switched it off: its host was, without it being asked. For whoever wants it to run that is a failure. */
function lost(row: VmRow, report: DomainReport): VmChanges {
  const told = report.state !== 'stopped' || report.reason !== null;
  if (told || row.desiredState !== 'running' || row.state === 'stopped' || row.state === 'creating') return {};
  return { state: 'crashed', stateReason: 'it ended together with its host' };
}

function observeAbsence(row: VmRow): VmChanges | null {
  if (row.state === 'creating') return null;
  const stateReason = row.state === 'stopped' ? row.stateReason : 'the host has no domain of it';
  return differences(row, { state: 'stopped', stateReason, guest: null, drift: [], startedAt: null });
}

function differences(row: VmRow, changes: VmChanges): VmChanges | null {
  const entries = Object.entries(changes).filter(([key, value]) => !isSame(row[key as keyof VmChanges], value));
  return entries.length === 0 ? null : (Object.fromEntries(entries) as VmChanges);
}

function isSame(one: unknown, two: unknown): boolean {
  return one === two || (typeof one === 'object' && JSON.stringify(one) === JSON.stringify(two));
}
