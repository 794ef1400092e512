/**
 * Lets a planned world save power: hosts so small that they are needed at times, demand that comes and goes, operators who send hosts
 * to standby and wake them, and power devices that fail just then. Of its own chance, so that the other worlds stay as they are.
 *
 * In some of them nothing else goes wrong than that hosts lose their power: there all VMs have to be back before anything is mended.
 */
import type { PowerSavingPolicy } from '@kvasir/api/resources/power-saving.ts';
import type { Chance } from '../world/chance.ts';
import type { Plan, PlannedAction, PlannedEvent } from './plan.ts';

/** Five VMs besides what is kept for the host itself. */
const memoryMib = 512 + 5 * 512;
/** Hosts without work are asleep by then, some of them. */
const firstMs = 22_000;
const spanMs = 50_000;
/** Long enough that two lots of hosts are woken, one after the other. */
const calmMs = 105_000;

export function savePowerIn(plan: Plan, chance: Chance): Plan {
  const onlyPowerLoss = chance.happens(0.4);
  const powerSaving = policy(chance);
  const stories = new PowerStories(
    chance,
    plan.hosts.map(({ name }) => name),
    plan.vms.map(({ name }) => name),
  );
  if (powerSaving.mode !== 'automatic') stories.sendAllButTwoToStandby();
  const count = chance.between(1, 4);
  for (let story = 0; story < count; story++) stories.add(firstMs + chance.between(0, spanMs), !onlyPowerLoss);
  if (onlyPowerLoss) stories.lose(firstMs + chance.between(spanMs / 2, spanMs));
  const events = [...(onlyPowerLoss ? [] : plan.events), ...stories.events].toSorted((a, b) => a.atMs - b.atMs);
  const lastMs = events.at(-1)?.atMs ?? firstMs;
  const admission = chance.pick(['off', 'off', 'warn', 'enforce'] as const);
  return {
    ...plan,
    hosts: plan.hosts.map((each) => ({ ...each, memoryMib })),
    vms: plan.vms.map((each, index) => ({ ...each, host: plan.hosts[index % plan.hosts.length]!.name })),
    devices: true,
    powerSaving,
    policy: { ...plan.policy, admission, ...(onlyPowerLoss ? { isolation: 'leave' } : {}) },
    events,
    healAtMs: lastMs + (onlyPowerLoss || chance.happens(0.2) ? calmMs : chance.between(0, 40_000)),
  };
}

function policy(chance: Chance): Partial<PowerSavingPolicy> {
  return {
    mode: chance.pick(['automatic', 'automatic', 'automatic', 'suggested', 'off'] as const),
    evacuate: chance.happens(0.8),
    minHostsOn: chance.pick([1, 2, 2]),
    keepFreePercent: chance.pick([10, 30]),
    wakeAbovePercent: 95,
    idleAfterMs: chance.pick([1000, 5000, 15_000]),
    // Less than a boot takes, too.
    wakeTimeoutMs: chance.pick([15_000, 60_000, 60_000]),
  };
}

class PowerStories {
  readonly events: PlannedEvent[] = [];
  readonly #chance: Chance;
  readonly #hosts: readonly string[];
  readonly #vms: readonly string[];
  #created = 0;

  constructor(chance: Chance, hosts: readonly string[], vms: readonly string[]) {
    this.#chance = chance;
    this.#hosts = hosts;
    this.#vms = vms;
  }

  add(atMs: number, devicesFail: boolean): void {
    const host = this.#chance.pick(this.#hosts);
    this.#chance.pick([
      () => this.#demand(atMs),
      () => this.#demand(atMs),
      () => this.#lull(atMs),
      () => this.#standby(atMs, host),
      () => this.#put(atMs, { do: 'wake-host', host }),
      // Somebody presses its button.
      () => this.#put(atMs, { do: 'power-on', host }),
      () => this.lose(atMs),
      () => (devicesFail ? this.#deviceFails(atMs, host) : this.#standby(atMs, host)),
    ])();
  }

  sendAllButTwoToStandby(): void {
    for (const host of this.#hosts.slice(2))
      this.#put(this.#chance.between(8000, firstMs), { do: 'standby-host', host });
  }

  /** One of those that carry VMs, as likely as not. */
  lose(atMs: number): void {
    const host = this.#chance.pick([this.#hosts[0]!, this.#hosts[1]!, this.#chance.pick(this.#hosts)]);
    this.#put(atMs, { do: 'power-off', host });
  }

  #put(atMs: number, action: PlannedAction): void {
    this.events.push({ atMs: Math.round(atMs), ...action });
  }

  #demand(atMs: number): void {
    const chance = this.#chance;
    const count = chance.between(2, 5);
    for (let n = 0; n < count; n++) {
      this.#created += 1;
      this.#put(atMs + n * chance.between(0, 2000), { do: 'create-vm', vm: `more${this.#created}` });
    }
  }

  #lull(atMs: number): void {
    const chance = this.#chance;
    for (const vm of this.#vms) {
      if (!chance.happens(0.5)) continue;
      this.#put(atMs + chance.between(0, 3000), { do: 'stop-vm', vm });
      if (chance.happens(0.7)) this.#put(atMs + chance.between(10_000, 40_000), { do: 'start-vm', vm });
    }
  }

  #standby(atMs: number, host: string): void {
    const chance = this.#chance;
    if (chance.happens(0.3)) this.#put(atMs, { do: 'hang-system', host: chance.pick(this.#hosts) });
    this.#put(atMs, { do: 'standby-host', host });
    if (chance.happens(0.5)) this.#put(atMs + chance.between(500, 20_000), { do: 'wake-host', host });
    if (!chance.happens(0.3)) return;
    this.#put(atMs + chance.between(0, 3000), { do: 'migrate-vm', vm: chance.pick(this.#vms), host });
  }

  #deviceFails(atMs: number, host: string): void {
    const chance = this.#chance;
    const mode = chance.pick(['slow', 'loses-answers', 'refuses', 'dead'] as const);
    this.#put(atMs, { do: 'power-device', host, mode });
    this.#put(atMs + chance.between(500, 15_000), { do: 'power-device', host, mode: 'works' });
    this.#put(atMs + chance.between(0, 2000), { do: chance.pick(['standby-host', 'wake-host'] as const), host });
  }
}
