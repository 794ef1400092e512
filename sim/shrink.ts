/** Cuts a failing plan down while it fails in the same way: fewer events first, then fewer VMs and hosts, then shorter times. */
import type { Plan, PlannedEvent } from './schedule/plan.ts';

export interface ShrinkOptions {
  /** Whether this plan still fails in the way that is looked for. */
  readonly fails: (plan: Plan) => Promise<boolean>;
  /** Trials at most. */
  readonly trials: number;
}

export async function shrink(plan: Plan, { fails, trials }: ShrinkOptions): Promise<Plan> {
  let best = plan;
  const budget = { left: trials };
  const better = async (candidate: Plan): Promise<boolean> => {
    if (budget.left <= 0) return false;
    budget.left -= 1;
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  let size = Number.POSITIVE_INFINITY;
  while (budget.left > 0 && sizeOf(best) < size) {
    size = sizeOf(best);
    for (let chunk = Math.ceil(best.events.length / 2); chunk >= 1; chunk = chunk === 1 ? 0 : Math.ceil(chunk / 2)) {
      for (let at = 0; at < best.events.length; ) {
        const events = best.events.toSpliced(at, chunk);
        if (!(await better({ ...best, events }))) at += chunk;
      }
    }
    for (const vm of best.vms) {
      const vms = best.vms.filter(({ name }) => name !== vm.name);
      if (vms.length > 0 && !best.events.some((event) => 'vm' in event && event.vm === vm.name))
        await better({ ...best, vms });
    }
    for (const host of best.hosts)
      if (best.hosts.length > 3 && !names(best, host.name)) await better(without(best, host.name));
    if (best.managers > 1 && !best.events.some((event) => 'manager' in event && event.manager === 'm2')) {
      await better({ ...best, managers: 1 });
    }
    for (const simpler of simplerTimes(best)) await better(simpler);
  }
  return best;
}

function sizeOf({ events, vms, hosts, healAtMs }: Plan): number {
  return events.length * 1000 + vms.length * 10 + hosts.length * 10 + healAtMs / 1e6;
}

function names({ events, vms }: Plan, host: string): boolean {
  return events.some((event) => JSON.stringify(event).includes(`"${host}"`)) || vms.some((vm) => vm.host === host);
}

function without(plan: Plan, host: string): Plan {
  return { ...plan, hosts: plan.hosts.filter(({ name }) => name !== host) };
}

/** The time before the first event cut, and the pauses between events rounded. */
function* simplerTimes(plan: Plan): Generator<Plan> {
  const first = plan.events[0]?.atMs ?? 0;
  if (first > 22_000) yield shifted(plan, 22_000 - first);
  for (const grainMs of [1000, 250]) {
    const round = (ms: number): number => Math.round(ms / grainMs) * grainMs;
    const events = plan.events.map((event): PlannedEvent => ({ ...event, atMs: round(event.atMs) }));
    yield { ...plan, events, healAtMs: round(plan.healAtMs) };
  }
}

function shifted(plan: Plan, byMs: number): Plan {
  const events = plan.events.map((event): PlannedEvent => ({ ...event, atMs: event.atMs + byMs }));
  return { ...plan, events, healAtMs: plan.healAtMs + byMs };
}
