/**
 * Which hosts of a cluster to switch off because nothing needs them, and which to wake because something does. Pure; the same
 * world gives the same actions.
 *
 * A host is dispensable while the others take its VMs, keep `keepFreePercent` of memory and of CPUs free, keep the promise to the
 * VMs of failed hosts, and are `minHostsOn` at least. It goes once that has been so for `idleAfterMs`, one host at a time. A host is
 * woken when less than `100 - wakeAbovePercent` is free, the promise does not hold, a VM found no room, or too few are on. All are
 * woken when the manager may be the one that is cut off: hosts that are heard are what tells.
 *
 * Invariants: what makes a host dispensable is stricter than what wakes one, so under constant load a host that was switched off
 * is not woken for it and one that was woken is not switched off. Only hosts that are well are switched off, and none while
 * anything in the cluster is unsettled. Waking has no such conditions: too much power is never a danger.
 */
import { byCodePoint } from '../placement/fit.ts';
import { brokenPromise, freeShares, type Room, roomNow, roomWith, roomWithout, type Shares } from './room.ts';
import type { Dispensable, PowerAction, PowerHost, PowerPolicy, PowerWorld, Wanting } from './world.ts';

/** Of large clusters only so many, the emptiest, are looked at: one of them goes, and then it is looked at anew. */
const mostCandidates = 8;

/** Why a policy would switch hosts on and off by turns; undefined: it would not. */
export function unsteady({ keepFreePercent, wakeAbovePercent }: PowerPolicy): string | undefined {
  if (keepFreePercent >= 100 - wakeAbovePercent + 5) return undefined;
  return `must be ${100 - wakeAbovePercent + 5} at least with wakeAbovePercent ${wakeAbovePercent}, or hosts would go on and off by turns`;
}

export function planPower(world: PowerWorld, policy: PowerPolicy, now: number): PowerAction[] {
  const wakes = planWakes(world, policy, now);
  if (wakes.length > 0) return wakes;
  const since = new Map(world.hosts.map(({ placement, dispensableSinceMs }) => [placement.id, dispensableSinceMs]));
  const [first] = dispensable(world, policy, now)
    .map((each) => ({ ...each, dueMs: (since.get(each.hostId) ?? now) + policy.idleAfterMs }))
    .toSorted((a, b) => a.dueMs - b.dueMs);
  return first === undefined ? [] : [{ kind: 'standby', ...first }];
}

/** Hosts any one of which could be switched off now; those that carry least come first. */
export function dispensable(world: PowerWorld, policy: PowerPolicy, now: number): Dispensable[] {
  const on = world.hosts.filter(({ power }) => power === 'on');
  if (policy.mode === 'off' || on.length <= policy.minHostsOn) return [];
  const load = ({ placement }: PowerHost): number => placement.vms.reduce((sum, vm) => sum + vm.memoryMib, 0);
  const candidates = on
    .filter((host) => reasonToStay(host, world, policy, now) === undefined)
    .toSorted((a, b) => load(a) - load(b) || byCodePoint(a.placement.name, b.placement.name))
    .slice(0, mostCandidates);
  return candidates.flatMap((host) => {
    const found = withoutIt(host, world, policy);
    return 'stays' in found ? [] : [{ hostId: host.placement.id, vms: host.leaving.length, because: found.because }];
  });
}

/** Why this host is not switched off now; undefined: it could be. For people. */
export function whyStays(host: PowerHost, world: PowerWorld, policy: PowerPolicy, now: number): string | undefined {
  if (policy.mode === 'off') return 'power saving is off';
  const reason = reasonToStay(host, world, policy, now);
  if (reason !== undefined) return reason;
  const on = world.hosts.filter(({ power }) => power === 'on').length;
  if (on <= policy.minHostsOn) return `${policy.minHostsOn} host(s) are to stay on`;
  const found = withoutIt(host, world, policy);
  return 'stays' in found ? found.stays : undefined;
}

/** What stands against it before the room is looked at. */
function reasonToStay(host: PowerHost, world: PowerWorld, policy: PowerPolicy, now: number): string | undefined {
  if (host.power !== 'on') return `it is ${host.power}`;
  if (world.unsettled !== null) return world.unsettled;
  if (world.hosts.some(({ power }) => power === 'entering' || power === 'waking'))
    return 'another host is on its way to standby or back';
  if (host.stays !== null) return host.stays;
  if (now < host.notBeforeMs) return 'a try to switch it off went wrong a while ago';
  const carries = host.leaving.length > 0 || host.placement.vms.length > 0;
  return carries && !policy.evacuate ? 'VMs are on it' : undefined;
}

type WithoutIt = { readonly stays: string } | { readonly because: string };

function withoutIt(host: PowerHost, world: PowerWorld, policy: PowerPolicy): WithoutIt {
  const room = roomWithout(world, host);
  if ('homeless' in room) return { stays: `no other host takes ${room.homeless}` };
  const left = freeShares(world, room);
  if (isBelow(left, policy.keepFreePercent))
    return { stays: `without it only ${say(left)} would be free, less than ${policy.keepFreePercent} %` };
  const broken = brokenPromise(world, room);
  if (broken !== undefined) return { stays: `without it ${broken}` };
  const what = host.leaving.length === 0 ? 'carries no VM' : `can give its ${host.leaving.length} VM(s) to others`;
  return { because: `${host.placement.name} ${what}; without it ${say(left)} stay free` };
}

function planWakes(world: PowerWorld, policy: PowerPolicy, now: number): PowerAction[] {
  const coming = new Set(world.hosts.filter(({ power }) => power === 'waking').map(({ placement }) => placement.id));
  const asleep = world.hosts
    .filter(({ power, notBeforeMs }) => power === 'standby' || (power === 'failed' && now >= notBeforeMs))
    .toSorted(
      (a, b) =>
        Number(a.power === 'failed') - Number(b.power === 'failed') || byCodePoint(a.placement.name, b.placement.name),
    );
  if (asleep.length === 0) return [];
  const waker = new Waker(world, asleep, coming);
  if (world.managerInDoubt)
    waker.all(
      'so many hosts are silent that more have to tell whether they or the manager are cut off',
      () => true,
      true,
    );
  waker.forWanting();
  if (policy.mode === 'off') waker.all('power saving is off', ({ byPolicy }) => byPolicy);
  else waker.forCluster(policy);
  return waker.actions;
}

/** Wakes hosts in thought, one by one, until nothing is lacking or none is left. */
class Waker {
  readonly actions: PowerAction[] = [];
  readonly #world: PowerWorld;
  #asleep: readonly PowerHost[];
  #on: ReadonlySet<string>;
  /** What is placed in thought counts for what is looked at next. */
  readonly #placed: Wanting[] = [];

  constructor(world: PowerWorld, asleep: readonly PowerHost[], coming: ReadonlySet<string>) {
    this.#world = world;
    this.#asleep = asleep;
    this.#on = coming;
  }

  /** Each VM that found no room: nothing when it does by now, or will on hosts that are waking. */
  forWanting(): void {
    for (const vm of this.#world.wanting) {
      const why = vm.afterFailure ? 'its host failed' : 'it was asked for';
      const because = `no host that is on takes ${vm.name} (${why})`;
      for (const host of this.#takes(vm) ? [] : this.#needed(vm)) this.#wake(host, because, vm.afterFailure);
      this.#placed.push(vm);
    }
  }

  /** The fewest hosts with which it is taken: one, the first few, or one that has room though the promise is broken then. */
  #needed(vm: Wanting): readonly PowerHost[] {
    const ids = this.#asleep.map(({ placement }) => placement.id);
    const one = this.#asleep.find(({ placement: { id } }) => this.#takes(vm, id));
    if (one !== undefined) return [one];
    const few = ids.findIndex((_, at) => this.#takes(vm, ...ids.slice(0, at + 1)));
    if (few >= 0) return this.#asleep.slice(0, few + 1);
    if (roomWith(this.#world, this.#room(), vm) !== undefined) return [];
    const roomy = this.#asleep.find(({ placement: { id } }) => roomWith(this.#world, this.#room(id), vm) !== undefined);
    return roomy === undefined ? [] : [roomy];
  }

  /** Room that is kept for failed hosts is none for others. */
  #takes(vm: Wanting, ...also: readonly string[]): boolean {
    const room = roomWith(this.#world, this.#room(...also), vm);
    return room !== undefined && (vm.afterFailure || brokenPromise(this.#world, room) === undefined);
  }

  all(because: string, which: (host: PowerHost) => boolean, afterFailure = false): void {
    for (const host of this.#asleep) if (which(host)) this.#wake(host, because, afterFailure);
  }

  forCluster(policy: PowerPolicy): void {
    const on = this.#world.hosts.filter(({ power }) => power === 'on').length;
    for (;;) {
      const [next] = this.#asleep;
      if (next === undefined) return;
      const because = this.#lacking(policy, on);
      if (because === undefined) return;
      this.#wake(next, because);
    }
  }

  #lacking(policy: PowerPolicy, on: number): string | undefined {
    const counted = on + this.#on.size;
    if (counted < policy.minHostsOn) return `${counted} host(s) are on, ${policy.minHostsOn} are to be`;
    const room = this.#room();
    const left = freeShares(this.#world, room);
    const least = 100 - policy.wakeAbovePercent;
    if (isBelow(left, least)) return `only ${say(left)} are free, less than ${least} %`;
    return brokenPromise(this.#world, room);
  }

  #wake(host: PowerHost, because: string, afterFailure = false): void {
    const hostId = host.placement.id;
    this.actions.push({ kind: 'wake', hostId, because: `${because}: ${host.placement.name} is woken`, afterFailure });
    this.#asleep = this.#asleep.filter((each) => each !== host);
    this.#on = new Set([...this.#on, hostId]);
  }

  #room(...also: readonly string[]): Room {
    const start = roomNow(this.#world, new Set([...this.#on, ...also]));
    return this.#placed.reduce((room, vm) => roomWith(this.#world, room, vm) ?? room, start);
  }
}

function isBelow({ memory, cpus }: Shares, percent: number): boolean {
  return Math.min(memory, cpus) * 100 < percent;
}

function say({ memory, cpus }: Shares): string {
  return `${Math.round(memory * 100)} % of memory and ${Math.round(cpus * 100)} % of CPUs`;
}
