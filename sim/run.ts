/** Plays one plan in a new world and tells what came of it. The same plan gives the same trace, to the letter. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { clusters } from '@kvasir/manager/store/clusters.ts';
import { eventsAfter } from '@kvasir/manager/store/events.ts';
import { haTimeline } from '@kvasir/manager/store/ha-incidents.ts';
import { tasks } from '@kvasir/manager/store/tasks.ts';
import { users } from '@kvasir/manager/store/users.ts';
import { firstRevision } from '@kvasir/manager/store/versioned.ts';
import { vms } from '@kvasir/manager/store/vms.ts';
import { retryTask } from '@kvasir/manager/tasks/retry.ts';
import { heal, perform } from './schedule/perform.ts';
import type { Plan } from './schedule/plan.ts';
import { eventCount, notRunning, unrest } from './watch/recovery.ts';
import { SafetyWatch } from './watch/safety.ts';
import { sleeping } from './watch/standby.ts';
import type { Violation } from './watch/violation.ts';
import { Operator } from './world/operator.ts';
import { type Planted, World } from './world/world.ts';

export interface Outcome {
  readonly violation: Violation | undefined;
  /** SHA-256 over everything that happened. */
  readonly hash: string;
  readonly trace: readonly string[];
  readonly virtualMs: number;
}

export interface RunOptions {
  readonly planted?: Planted;
  /** Looks at the world when all is over. */
  readonly afterwards?: (world: World) => Promise<void>;
}

/** From the mending on; the longest waits in the product are back-offs of retries. */
const quietWithinMs = 240_000;
/** Nothing more may happen for so long. */
const quietForMs = 6000;
const lookEveryMs = 2000;
/** Nothing was done to the world for so long: everything that can be decided has been, and carried out. */
const calmMs = 55_000;
/** Hosts have to be woken for it, one lot to tell who is lost, another to take the VMs. */
const calmWithSleepersMs = 100_000;

class Stopped extends Error {
  readonly violation: Violation;
  constructor(violation: Violation) {
    super(violation.what);
    this.violation = violation;
  }
}

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<Outcome> {
  const world = await World.open({ ...plan, planted: options.planted });
  let violation: Violation | undefined;
  const unhandled = (error: unknown): void => {
    world.tell(`unhandled: ${error instanceof Error ? error.stack : String(error)}`);
    violation ??= { kind: 'internal-error', atMs: world.nowMs, what: String(error) };
  };
  process.on('unhandledRejection', unhandled);
  try {
    await new Play(world, plan).play();
    await options.afterwards?.(world);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    violation = error.violation;
    world.tell(`VIOLATION ${violation.kind}: ${violation.what}`);
  } finally {
    process.off('unhandledRejection', unhandled);
  }
  violation ??= internalError(world);
  const trace = await wholeTrace(world);
  const virtualMs = world.nowMs;
  await world.close();
  const hash = createHash('sha256').update(trace.join('\n')).digest('hex');
  return { violation, hash, trace, virtualMs };
}

class Play {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #safety: SafetyWatch;
  #operator!: Operator;

  constructor(world: World, plan: Plan) {
    this.#world = world;
    this.#plan = plan;
    this.#safety = new SafetyWatch(world);
  }

  async play(): Promise<void> {
    const { events, healAtMs } = this.#plan;
    this.#operator = new Operator(this.#world, await this.#addAdmin());
    for (const event of events) {
      await this.#until(event.atMs);
      perform(this.#world, this.#operator, event);
    }
    await this.#until(healAtMs);
    const calm = this.#plan.powerSaving === undefined ? calmMs : calmWithSleepersMs;
    if (healAtMs - (events.at(-1)?.atMs ?? 0) >= calm) await this.#requireDecided();
    heal(this.#world, await sleeping(this.#world));
    await this.#requireQuiet();
    const violation = await this.#safety.atEnd();
    if (violation !== undefined) throw new Stopped(violation);
  }

  async #addAdmin(): Promise<string> {
    const { store, chance, clock } = this.#world;
    const row = firstRevision(chance.uuid(), clock.now());
    const account = { name: 'admin', description: '', systemRole: 'admin', disabled: false, passwordHash: '' } as const;
    await this.#world.waiting(store.transaction((tx) => users.insert(tx, { ...row, ...account })));
    return row.id;
  }

  async #until(atMs: number): Promise<void> {
    const { clock, nowMs } = this.#world;
    await clock.pass(Math.max(0, atMs - nowMs), async () => {
      const violation = await this.#safety.look();
      if (violation !== undefined) throw new Stopped(violation);
    });
  }

  /** Nothing was mended yet; but where everything about the lost hosts could be known, their VMs run elsewhere by now. */
  async #requireDecided(): Promise<void> {
    const world = this.#world;
    // That policy wants the VMs of an isolated host off.
    if (this.#plan.policy.isolation === 'shutdown') return;
    const machines = [...world.machines.values()];
    const asleep = await sleeping(world);
    const awake = machines.filter(({ hostId }) => !asleep.has(hostId));
    const lost = awake.filter(
      ({ sim, agentRuns, isWell }) => !isWell && (!sim.isOn || !agentRuns || !sim.onManagementNetwork),
    );
    const unwell = awake.filter(({ isWell }) => !isWell);
    if ([...asleep].some((hostId) => world.bmcs.ofHost(hostId)?.mode !== 'works')) return;
    const enough = unwell.length * 2 < machines.length && unwell.length <= lost.length;
    const provable = lost.every(({ hostId, sim }) => !sim.isOn && world.bmcs.ofHost(hostId)?.mode === 'works');
    const led = world.managers.some(({ leads }) => leads);
    if (!enough || !provable || !led || !(await haveRoom(world, machines.length - unwell.length))) return;
    const waiting = (await vms.select(world.store.db, { state: 'creating', hostId: [...asleep] })).map(
      ({ name, hostId }) => `${name} waits still for ${world.nameOf(hostId!)}`,
    );
    const [first] = [...(await notRunning(world)), ...waiting];
    if (first !== undefined) throw new Stopped({ kind: 'not-running', atMs: world.nowMs, what: first });
  }

  async #requireQuiet(): Promise<void> {
    const world = this.#world;
    const endMs = world.nowMs + quietWithinMs;
    let count = -1;
    let quietSinceMs = world.nowMs;
    let reasons: string[] = [];
    while (world.nowMs < endMs) {
      await this.#until(world.nowMs + lookEveryMs);
      // Who finds a host switched off switches it on again.
      const asleep = await sleeping(world);
      for (const machine of world.machines.values()) if (!asleep.has(machine.hostId)) machine.powerOn();
      await retryParked(world);
      reasons = await unrest(world);
      const events = await eventCount(world);
      if (reasons.length > 0 || events !== count) quietSinceMs = world.nowMs;
      count = events;
      if (world.nowMs - quietSinceMs >= quietForMs) return;
    }
    const kind = reasons.some((reason) => reason.includes('does not run (')) ? 'not-running' : 'not-quiet';
    throw new Stopped({ kind, atMs: world.nowMs, what: reasons.join('; ') || 'events go on' });
  }
}

/** All VMs are of one size, and so are all hosts. */
async function haveRoom({ store: { db }, machines }: World, hosts: number): Promise<boolean> {
  const wanted = await vms.select(db, { desiredState: 'running', trashedAt: null });
  const { memoryReservedMib } = (await clusters.find(db, {}))!;
  const [{ sim } = assert.fail()] = machines.values();
  const fit = Math.floor((sim.memoryMib - memoryReservedMib) / Math.max(...wanted.map(({ memoryMib }) => memoryMib)));
  return wanted.length <= fit * hosts;
}

/** What waits for an operator is told to try again, now that nothing is broken any more. */
async function retryParked(world: World): Promise<void> {
  const { store } = world;
  const parked = await tasks.select(store.db, { state: 'parked' });
  for (const { id } of parked) await world.waiting(store.transaction((tx) => retryTask(tx, id, 0)));
}

/** Lines of the log that no expected refusal writes. */
function internalError(world: World): Violation | undefined {
  const line = world.trace.find((each) => /unknown way|TypeError|RangeError|ReferenceError|SqliteError/.test(each));
  return line === undefined ? undefined : { kind: 'internal-error', atMs: world.nowMs, what: line.trim() };
}

async function wholeTrace(world: World): Promise<string[]> {
  const { db } = world.store;
  const events = await eventsAfter(db, 0, { limit: 100_000 });
  const timeline = await haTimeline.select(db, {}, 'seq');
  const line = (at: number, what: string): string => `${String(at - world.startedMs).padStart(7)} ${what}`;
  return [
    ...world.trace,
    ...events.map(({ at, message }) => line(at, `event: ${message}`)),
    ...timeline.map(({ at, message, because }) =>
      line(at, `timeline: ${message}${because === null ? '' : ` because ${because}`}`),
    ),
  ].toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
}
