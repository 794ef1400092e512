/** In which order VMs are restarted, and which of them may start now. Pure arithmetic over names and priorities. */
import type { HaPolicy } from '@kvasir/api/resources/ha-policy.ts';
import type { RestartFacts, VmFacts } from './snapshot.ts';

const rank = { high: 0, medium: 1, low: 2 } as const;

/** What decides who comes first. */
type Ordered = Pick<VmFacts, 'id' | 'name'> & { readonly ha: Pick<VmFacts['ha'], 'priority'> };

/** By priority, then by name: the same facts always give the same order. */
export function inOrder<V extends Ordered>(vms: readonly V[]): V[] {
  return vms.toSorted(
    (a, b) => rank[a.ha.priority] - rank[b.ha.priority] || compare(a.name, b.name) || compare(a.id, b.id),
  );
}

/** What the VM still waits for; undefined: for nothing. */
export function waitsFor(
  vm: VmFacts,
  vms: readonly VmFacts[],
  policy: Pick<HaPolicy, 'dependencyWaitMs'>,
  now: number,
): string | undefined {
  for (const name of vm.ha.dependsOn) {
    const needed = named(vm, name, vms);
    // What is gone, is not wanted to run, or waits for this VM in turn is not waited for.
    if (needed === undefined || !wanted(needed) || dependsOn(needed, vm, vms)) continue;
    const reason = notReady(needed, policy, now);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function notReady(needed: VmFacts, { dependencyWaitMs }: Pick<HaPolicy, 'dependencyWaitMs'>, now: number) {
  const { restart } = needed;
  // Nobody restarts it, or not any more, so there is nothing to wait for.
  if (restart === null || restart.state === 'failed') return undefined;
  // It finds no place, nothing proves that it may start, a task has it or a disk of it, or its own waits for an operator.
  const waits = restart.state === 'waiting' || (restart.state === 'placed' && needed.busy) || isParked(restart);
  if (waits && now - restart.sinceMs >= dependencyWaitMs) return undefined;
  if (restart.state !== 'booting') return `it waits for ${needed.name}, which does not run yet`;
  if (needed.guestAgent || !restart.hadGuestAgent || now - restart.sinceMs >= dependencyWaitMs) return undefined;
  return `it waits for the guest of ${needed.name} to answer`;
}

/** Whether a VM of higher priority is about to start, so that this one has to let it go first. */
export function letsFirst(
  vm: VmFacts,
  vms: readonly VmFacts[],
  mayGo: (other: VmFacts) => boolean,
): VmFacts | undefined {
  return vms.find(
    (other) =>
      rank[other.ha.priority] < rank[vm.ha.priority] &&
      other.restart !== null &&
      (isStarting(other.restart) || mayGo(other)) &&
      !dependsOn(other, vm, vms),
  );
}

/** At work; one that waits for an operator is not. */
export function isStarting(restart: RestartFacts): boolean {
  return restart.state === 'starting' && !isParked(restart);
}

function isParked({ state, task }: RestartFacts): boolean {
  return state === 'starting' && task?.state === 'parked';
}

export function wanted({ desiredState }: Pick<VmFacts, 'desiredState'>): boolean {
  return desiredState === 'running' || desiredState === 'paused';
}

function dependsOn(vm: VmFacts, on: VmFacts, vms: readonly VmFacts[], seen = new Set<string>()): boolean {
  if (seen.has(vm.id)) return false;
  seen.add(vm.id);
  return vm.ha.dependsOn.some((name) => {
    const needed = named(vm, name, vms);
    return needed !== undefined && (needed.id === on.id || dependsOn(needed, on, vms, seen));
  });
}

function named(vm: VmFacts, name: string, vms: readonly VmFacts[]): VmFacts | undefined {
  return vms.find((other) => other.projectId === vm.projectId && other.name === name && other.id !== vm.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
