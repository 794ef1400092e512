/** A plan that is kept with what has to come of it: a promise, or a failure that was once found. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { events } from '@kvasir/manager/store/events.ts';
import { tasks } from '@kvasir/manager/store/tasks.ts';
import { runPlan } from './run.ts';
import type { Plan } from './schedule/plan.ts';
import type { World } from './world/world.ts';

/** All of it about the time before everything is mended; what is left out is not looked at. */
export interface Expectation {
  /** Hosts whose power a device cut, in order. */
  readonly powerCuts?: readonly string[];
  /** Hosts that their watchdog reset, in order. */
  readonly resets?: readonly string[];
  /** VMs that were restarted elsewhere, in order. */
  readonly restarts?: readonly string[];
  /** Kinds of events that were there, among others. */
  readonly events?: readonly string[];
  /** VMs that ran on without a break. */
  readonly untouched?: readonly string[];
  /** On which hosts these VMs ran, one after the other. */
  readonly ranOn?: Readonly<Record<string, readonly string[]>>;
  /** Which hosts were chosen to translate for these routers, one after the other. */
  readonly gateways?: Readonly<Record<string, readonly string[]>>;
  /** None of the VMs ran on the host any more at this moment. */
  readonly emptied?: { readonly host: string; readonly byMs: number };
  /** How tasks ended, as "vm-create a1", and until when. */
  readonly ended?: Readonly<Record<string, { readonly state: string; readonly byMs: number }>>;
}

export interface Scenario {
  readonly plan: Plan;
  readonly expect: Expectation;
}

const folder = join(import.meta.dirname, 'scenarios');

export function scenarioNames(): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
}

export function readScenario(name: string): Scenario {
  return JSON.parse(readFileSync(join(folder, name, 'scenario.json'), 'utf8')) as Scenario;
}

export interface Played {
  readonly violation: string | undefined;
  readonly expected: Expectation;
  /** In the form of what was expected. */
  readonly seen: Expectation;
  readonly trace: readonly string[];
}

export async function playScenario({ plan, expect }: Scenario): Promise<Played> {
  let seen: Expectation = {};
  const afterwards = async (world: World): Promise<void> => {
    seen = await look(world, plan.healAtMs, expect);
  };
  const { violation, trace } = await runPlan(plan, { afterwards });
  return { violation: violation && `${violation.kind}: ${violation.what}`, expected: expect, seen, trace };
}

async function look(world: World, untilMs: number, expect: Expectation): Promise<Expectation> {
  const { db } = world.store;
  const before = (atMs: number): boolean => atMs - world.startedMs < untilMs;
  const restarts = (await tasks.select(db, { kind: 'vm-restart' })).filter((task) => before(task.createdAt));
  const told = (await events.select(db, {}, 'seq')).filter(({ at }) => before(at));
  const kinds = new Set(told.map(({ kind }) => kind));
  const served = told.filter(({ kind }) => kind === 'router.gateway-moved');
  const gatewaysOf = (router: string): string[] =>
    served.flatMap(({ targetName, details }) =>
      targetName === router ? [world.nameOf(String(details['hostId']))] : [],
    );
  const stopped = new Set(world.runs.filter(({ running, atMs }) => !running && atMs < untilMs).map(({ vmId }) => vmId));
  const began = world.runs.filter(({ running, atMs }) => running && atMs < untilMs);
  const hostsOf = (name: string): string[] =>
    began.flatMap(({ vmId, hostId }) => (world.vmName(vmId) === name ? [world.nameOf(hostId)] : []));
  const all: Required<Omit<Expectation, 'emptied' | 'ended'>> = {
    powerCuts: world.fenced.filter(({ atMs }) => before(atMs)).map(({ hostId }) => world.nameOf(hostId)),
    resets: world.sim.watchdogResets.filter(({ atMs }) => before(atMs)).map(({ hostId }) => world.nameOf(hostId)),
    restarts: restarts
      .toSorted((a, b) => a.createdAt - b.createdAt || (a.targetName < b.targetName ? -1 : 1))
      .map(({ targetName }) => targetName),
    events: (expect.events ?? []).filter((kind) => kinds.has(kind)),
    untouched: (expect.untouched ?? []).filter((name) => !stopped.has(world.populated?.vmIds.get(name) ?? '')),
    ranOn: Object.fromEntries(Object.keys(expect.ranOn ?? {}).map((name) => [name, hostsOf(name)])),
    gateways: Object.fromEntries(Object.keys(expect.gateways ?? {}).map((name) => [name, gatewaysOf(name)])),
  };
  const asked = Object.entries(all).filter(([key]) => key in expect);
  return { ...(Object.fromEntries(asked) as Expectation), ...emptied(world, expect), ...(await ended(world, expect)) };
}

function emptied(world: World, { emptied: asked }: Expectation): Expectation {
  if (asked === undefined) return {};
  const { hostId } = world.machine(asked.host);
  const ends = world.runs.filter((run) => run.hostId === hostId && !run.running && run.atMs <= asked.byMs);
  const began = world.runs.filter((run) => run.hostId === hostId && run.running && run.atMs <= asked.byMs);
  return ends.length === began.length && began.length > 0 ? { emptied: asked } : { emptied: { ...asked, byMs: -1 } };
}

async function ended(world: World, { ended: asked }: Expectation): Promise<Expectation> {
  if (asked === undefined) return {};
  const rows = await tasks.select(world.store.db, {});
  const seen = Object.entries(asked).map(([what, { byMs }]) => {
    const row = rows.find(({ kind, targetName }) => `${kind} ${targetName}` === what);
    const atMs = (row?.finishedAt ?? Infinity) - world.startedMs;
    return [what, { state: row?.state ?? 'none', byMs: Math.max(atMs, byMs) }];
  });
  return { ended: Object.fromEntries(seen) as NonNullable<Expectation['ended']> };
}
