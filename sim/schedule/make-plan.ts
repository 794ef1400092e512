/** A plan from a seed. Faults come in stories (something breaks, something else meanwhile, most of it is mended again), for single blows far apart find little. */
import type { HaPolicy } from '@kvasir/api/resources/ha-policy.ts';
import { Chance } from '../world/chance.ts';
import type { Plan, PlannedAction, PlannedEvent } from './plan.ts';
import { leadOutIn } from './lead-out.ts';
import { savePowerIn } from './save-power.ts';

/** After the grace of the first leader. */
const firstMs = 22_000;
const spanMs = 40_000;

/** In one of so many worlds hosts sleep when nothing needs them. */
const savesPowerEach = 4;

/** In one of so many worlds routers lead out; not in those that save power. */
const leadsOutEach = 4;
const leadsOutRest = 2;

export function makePlan(seed: number): Plan {
  const plan = makeBusyPlan(seed);
  if (seed % leadsOutEach === leadsOutRest) return leadOutIn(plan, new Chance(`routers ${seed}`));
  return seed % savesPowerEach === 0 ? savePowerIn(plan, new Chance(`power ${seed}`)) : plan;
}

function makeBusyPlan(seed: number): Plan {
  const chance = new Chance(`plan ${seed}`);
  const hosts = Array.from({ length: chance.between(3, 5) }, (_, index) => ({
    name: `h${index + 1}`,
    memoryMib: 8192,
  }));
  const vmCount = chance.between(2, 10);
  const vms = Array.from({ length: vmCount }, (_, index) => ({
    name: `vm${index + 1}`,
    host: chance.pick(hosts).name,
    memoryMib: 512,
    ha: {
      priority: chance.pick(['high', 'medium', 'low'] as const),
      ...(index > 0 && chance.happens(0.2) ? { dependsOn: [`vm${chance.between(1, index)}`] } : {}),
    },
  }));
  const managers = chance.happens(0.3) ? 2 : 1;
  const stories = new Stories(
    chance,
    hosts.map(({ name }) => name),
    vms,
    managers,
  );
  const count = chance.between(1, 5);
  for (let story = 0; story < count; story++) stories.add();
  const calmMs = chance.happens(0.2) ? 60_000 : chance.between(0, 15_000);
  const events = stories.events.toSorted((a, b) => a.atMs - b.atMs);
  return {
    seed,
    hosts,
    managers,
    vms,
    devices: chance.happens(0.7),
    policy: policy(chance),
    events,
    healAtMs: (events.at(-1)?.atMs ?? firstMs) + calmMs,
  };
}

function policy(chance: Chance): Partial<HaPolicy> {
  return {
    isolation: chance.pick(['leave', 'leave', 'shutdown', 'restart'] as const),
    isolationAfterMs: chance.pick([1000, 5000, 30_000]),
    storageLost: chance.happens(0.8) ? 'restart' : 'leave',
    maxParallelRestarts: chance.pick([1, 2, 16]),
    ...(chance.happens(0.2) ? { graceMs: 5000 } : {}),
  };
}

interface PlannedVm {
  readonly name: string;
  readonly host: string;
}

class Stories {
  readonly events: PlannedEvent[] = [];
  readonly #chance: Chance;
  readonly #hosts: readonly string[];
  readonly #vms: readonly PlannedVm[];
  readonly #managers: number;
  #created = 0;

  constructor(chance: Chance, hosts: readonly string[], vms: readonly PlannedVm[], managers: number) {
    this.#chance = chance;
    this.#hosts = hosts;
    this.#vms = vms;
    this.#managers = managers;
  }

  add(): void {
    const chance = this.#chance;
    const atMs = firstMs + chance.between(0, spanMs);
    const host = chance.pick(this.#hosts);
    chance.pick([
      () => this.#powerLoss(atMs, host),
      () => this.#powerLoss(atMs, host),
      () => this.#managementCut(atMs, host),
      () => this.#managementCut(atMs, host),
      () => this.#storageStall(atMs, host),
      () => this.#storageStall(atMs, host),
      () => this.#hypervisorHang(atMs, host),
      () => this.#hypervisorHang(atMs, host),
      () => this.#hungStart(atMs),
      () => this.#peerCut(atMs, host),
      () => this.#agentKill(atMs, host),
      () => this.#put(atMs, { do: 'kill-keeper', host }),
      () => this.#managerKill(atMs),
      () => this.#managerKill(atMs),
      () => this.#clockJump(atMs, host),
      () => this.#operator(atMs),
      () => this.#operator(atMs),
      () => this.#manyHosts(atMs),
      () => this.#deadHost(atMs, host),
    ])();
  }

  #put(atMs: number, action: PlannedAction): void {
    this.events.push({ atMs: Math.round(atMs), ...action });
  }

  #later(atMs: number, mostMs: number): number {
    // Short and long ones alike: moments matter as much as minutes.
    return atMs + Math.round(50 * (mostMs / 50) ** this.#chance.next());
  }

  #powerLoss(atMs: number, host: string): void {
    const chance = this.#chance;
    const mode = chance.pick(['works', 'works', 'slow', 'loses-answers', 'refuses', 'dead'] as const);
    if (mode !== 'works') this.#put(atMs - 100, { do: 'power-device', host, mode });
    this.#put(atMs, { do: 'power-off', host });
    if (chance.happens(0.3)) this.#put(this.#later(atMs + 1000, 20_000), { do: 'confirm-off', host });
    if (chance.happens(0.5)) this.#put(this.#later(atMs, 30_000), { do: 'power-on', host });
    if (chance.happens(0.3)) this.#managerKill(this.#later(atMs, 12_000));
  }

  #managementCut(atMs: number, host: string): void {
    const chance = this.#chance;
    const direction = chance.pick(['to-manager', 'to-host', 'both', 'both'] as const);
    this.#put(atMs, { do: 'cut-management', host, direction, peers: chance.happens(0.4) });
    if (chance.happens(0.6)) this.#put(this.#later(atMs, 30_000), { do: 'mend-management', host });
    if (chance.happens(0.3)) this.#operator(this.#later(atMs, 5000));
  }

  #storageStall(atMs: number, host: string): void {
    const chance = this.#chance;
    this.#put(atMs, { do: 'cut-storage', host });
    if (chance.happens(0.8)) this.#put(this.#later(atMs, 25_000), { do: 'mend-storage', host });
    if (chance.happens(0.15)) this.#put(this.#later(atMs, 8000), { do: 'kill-keeper', host });
  }

  /** Alone, or with the storage that it hangs in, or also out of sight. Operators ask on, and what they asked goes on hanging. */
  #hypervisorHang(atMs: number, host: string): void {
    const chance = this.#chance;
    this.#put(atMs, { do: 'hang-hypervisor', host, kind: chance.pick(['calls', 'daemon'] as const) });
    if (chance.happens(0.8)) this.#put(this.#later(atMs, 60_000), { do: 'mend-hypervisor', host });
    if (chance.happens(0.6)) this.#operator(this.#later(atMs - 60, 5000));
    if (chance.happens(0.5)) this.#storageStall(this.#later(atMs - 60, 5000), host);
    if (chance.happens(0.3)) this.#managementCut(this.#later(atMs, 10_000), host);
    if (chance.happens(0.2)) this.#agentKill(this.#later(atMs, 20_000), host);
  }

  /** A start hangs, its host is lost to its leases, somebody starts the VM elsewhere, and all goes on in some order. */
  #hungStart(atMs: number): void {
    const chance = this.#chance;
    const { name: vm, host } = chance.pick(this.#vms);
    this.#put(atMs - 3000, { do: 'stop-vm', vm });
    this.#put(atMs, { do: 'start-vm', vm });
    this.#put(atMs + chance.between(2, 12), {
      do: 'hang-hypervisor',
      host,
      kind: chance.pick(['calls', 'daemon'] as const),
    });
    this.#put(atMs, { do: 'power-device', host, mode: 'dead' });
    const lostMs = atMs + chance.between(100, 3000);
    this.#put(lostMs, { do: 'cut-management', host, direction: 'both', peers: true });
    this.#put(lostMs, { do: 'cut-storage', host });
    if (chance.happens(0.2)) this.#agentKill(this.#later(lostMs, 20_000), host);
    this.#put(lostMs + chance.between(12_000, 20_000), { do: 'start-vm', vm });
    for (const mend of ['mend-storage', 'mend-hypervisor', 'mend-management'] as const) {
      if (chance.happens(0.7)) this.#put(lostMs + chance.between(5000, 45_000), { do: mend, host });
    }
  }

  /** Alive, but neither management nor storage: nobody can tell it from one without power. */
  #deadHost(atMs: number, host: string): void {
    const chance = this.#chance;
    const direction = chance.pick(['to-manager', 'to-host', 'both'] as const);
    this.#put(atMs, { do: 'cut-management', host, direction, peers: chance.happens(0.7) });
    this.#put(this.#later(atMs - 60, 3000), { do: 'cut-storage', host });
    const mode = chance.pick(['works', 'slow', 'dead', 'dead', 'loses-answers'] as const);
    if (mode !== 'works') this.#put(atMs - 100, { do: 'power-device', host, mode });
    if (chance.happens(0.7)) this.#put(this.#later(atMs + 2000, 30_000), { do: 'mend-storage', host });
    if (chance.happens(0.7)) this.#put(this.#later(atMs + 2000, 30_000), { do: 'mend-management', host });
  }

  #peerCut(atMs: number, host: string): void {
    const other = this.#chance.pick(this.#hosts.filter((each) => each !== host));
    this.#put(atMs, { do: 'cut-peers', hosts: [host, other] });
    if (this.#chance.happens(0.5)) this.#put(this.#later(atMs, 20_000), { do: 'mend-peers', hosts: [host, other] });
  }

  #agentKill(atMs: number, host: string): void {
    const stayDown = this.#chance.happens(0.5);
    this.#put(atMs, { do: 'kill-agent', host, stayDown });
    if (stayDown && this.#chance.happens(0.7)) this.#put(this.#later(atMs, 20_000), { do: 'start-agent', host });
  }

  #managerKill(atMs: number): void {
    const chance = this.#chance;
    const manager = `m${chance.between(1, this.#managers)}`;
    if (chance.happens(0.5)) this.#put(atMs, { do: 'kill-manager', manager });
    else this.#put(atMs, { do: 'kill-manager-after', manager, commits: chance.between(1, 6) });
    this.#put(this.#later(atMs, 15_000), { do: 'start-manager', manager });
  }

  #clockJump(atMs: number, host: string): void {
    const byMs = this.#chance.pick([-3_600_000, -5000, 5000, 3_600_000]);
    this.#put(atMs, { do: 'skew-clock', host, byMs });
  }

  #operator(atMs: number): void {
    const chance = this.#chance;
    const { name: vm } = chance.pick(this.#vms);
    switch (chance.between(0, 4)) {
      case 0:
        this.#put(atMs, { do: 'stop-vm', vm });
        if (chance.happens(0.7)) this.#put(this.#later(atMs, 10_000), { do: 'start-vm', vm });
        return;
      case 1:
        this.#created += 1;
        return this.#put(atMs, { do: 'create-vm', vm: `new${this.#created}` });
      case 2:
        return this.#put(atMs, { do: 'start-vm', vm });
      default:
        return this.#put(atMs, { do: 'migrate-vm', vm, host: chance.pick(this.#hosts) });
    }
  }

  #manyHosts(atMs: number): void {
    for (const host of this.#hosts) {
      if (!this.#chance.happens(0.5)) continue;
      const near = atMs + this.#chance.between(0, 2000);
      if (this.#chance.happens(0.5)) this.#managementCut(near, host);
      else this.#powerLoss(near, host);
    }
  }
}
