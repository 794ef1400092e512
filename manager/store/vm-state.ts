/** Writes what was seen of a VM, from a task's answer or a host's report, and says so in an event when it changed. */
import type { VmState } from '@kvasir/api/resources/vm.ts';
import type { Tx } from './database.ts';
import { appendEvent } from './events.ts';
import { hostDomains } from './host-domains.ts';
import { type VmRow, vms } from './vms.ts';

export interface SeenVmState {
  readonly state: VmState;
  /** Why, e.g. "guest shut down". */
  readonly reason: string | null;
  readonly now: number;
  readonly taskId?: string | null;
  /** Of a running VM; left out: kept while it runs, `now` when it starts to. */
  readonly startedAt?: number | null;
}

const withMemory: readonly VmState[] = ['running', 'paused'];

/** Answers the row as it is now; writes nothing when nothing changed. @throws KvasirError `not-found` */
export async function recordVmState(tx: Tx, vmId: string, seen: SeenVmState): Promise<VmRow> {
  const vm = await vms.get(tx, vmId);
  if (withMemory.includes(seen.state)) await noteRunning(tx, vm, seen);
  const kept = withMemory.includes(vm.state) && vm.startedAt !== null ? vm.startedAt : seen.now;
  const startedAt = withMemory.includes(seen.state) ? (seen.startedAt ?? kept) : null;
  if (vm.state === seen.state && vm.stateReason === seen.reason && vm.startedAt === startedAt) return vm;
  const changed = await vms.update(
    tx,
    vmId,
    { state: seen.state, stateReason: seen.reason, startedAt },
    { now: seen.now },
  );
  if (vm.state === seen.state) return changed;
  await appendEvent(tx, {
    at: seen.now,
    kind: 'vm.state-changed',
    severity: seen.state === 'crashed' || seen.state === 'failed' ? 'error' : 'info',
    message: `VM "${vm.name}" is ${seen.state}${seen.reason === null ? '' : `: ${seen.reason}`}`,
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
    taskId: seen.taskId ?? null,
    details: { from: vm.state, to: seen.state, reason: seen.reason, hostId: vm.hostId },
  });
  return changed;
}

/** Its host may die before it could report the domain, which ran there then. */
async function noteRunning(tx: Tx, { id, name, hostId }: VmRow, { state, now }: SeenVmState): Promise<void> {
  if (hostId === null) return;
  const domain = { hostId, domainId: id, name, state, managed: true, vmId: id, seenAt: now };
  await hostDomains.put(tx, domain, ['hostId', 'domainId']);
}
