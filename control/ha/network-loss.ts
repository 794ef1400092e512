/**
 * Which VMs leave a host whose connection to the VM networks is down, when the cluster says so. Pure.
 *
 * The host itself is heard and well, so this needs no proof and stops nothing: its VMs move while they run, over the management
 * network. A cable that is back in a moment moves nobody; what has no NIC has lost nothing; a few move at once, by priority.
 */
import type { HaPolicy, VmHa } from '@kvasir/api/resources/ha-policy.ts';
import { inOrder } from './restart-order.ts';

export interface UnlinkedHost {
  readonly hostId: string;
  readonly sinceMs: number;
  readonly because: string;
  readonly policy: Pick<HaPolicy, 'enabled' | 'networkLost'>;
}

export interface VmThere {
  readonly id: string;
  readonly name: string;
  readonly hostId: string;
  readonly running: boolean;
  readonly hasNics: boolean;
  readonly ha: Pick<VmHa, 'enabled' | 'priority'>;
  /** A task is at work on it. */
  readonly busy: boolean;
  /** Its last try failed: not before then. */
  readonly notBeforeMs: number;
}

export interface MoveAway {
  readonly vmId: string;
  readonly hostId: string;
  readonly because: string;
}

export const settledAfterMs = 5000;
export const movesAtOnce = 4;

export function movesAway(hosts: readonly UnlinkedHost[], vms: readonly VmThere[], now: number): MoveAway[] {
  return hosts.flatMap(({ hostId, sinceMs, because, policy }) => {
    if (!policy.enabled || policy.networkLost !== 'restart' || now - sinceMs < settledAfterMs) return [];
    const here = vms.filter((vm) => vm.hostId === hostId);
    const free = movesAtOnce - here.filter(({ busy }) => busy).length;
    return inOrder(here.filter((vm) => vm.running && vm.hasNics && vm.ha.enabled && !vm.busy && vm.notBeforeMs <= now))
      .slice(0, Math.max(0, free))
      .map(({ id }) => ({ vmId: id, hostId, because }));
  });
}
