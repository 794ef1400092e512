/**
 * Gives a planned world routers that lead out, and hosts whose VM network is cut. Of its own chance, so that the other worlds stay as
 * they are. Agents live there: what a host translates whose agent is dead cannot be ended by anybody (`docs/networking.md`).
 */
import type { Chance } from '../world/chance.ts';
import type { Plan, PlannedEvent } from './plan.ts';

const firstMs = 22_000;
const spanMs = 40_000;

export function leadOutIn(plan: Plan, chance: Chance): Plan {
  const cuts: PlannedEvent[] = [];
  const count = chance.between(1, 5);
  for (let cut = 0; cut < count; cut += 1) {
    const { name: host } = chance.pick(plan.hosts);
    const atMs = firstMs + chance.between(0, spanMs);
    cuts.push({ atMs, do: 'cut-vm-network', host });
    // About as long as it takes to leave, and much longer.
    if (chance.happens(0.7)) {
      cuts.push({ atMs: atMs + chance.between(500, chance.pick([9000, 40_000])), do: 'mend-vm-network', host });
    }
  }
  const others = plan.events.filter((event) => event.do !== 'kill-agent' && event.do !== 'start-agent');
  const events = [...others, ...cuts].toSorted((a, b) => a.atMs - b.atMs);
  return { ...plan, routers: chance.between(1, 3), events, healAtMs: Math.max(plan.healAtMs, events.at(-1)!.atMs) };
}
