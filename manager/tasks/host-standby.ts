/**
 * Empties a host, has it shut down, and makes sure by its power device that it is off, because nothing needs it. Undone, it takes VMs
 * again; if it may be off or on its way there by then, it is switched on, and takes VMs again when it is heard.
 *
 * Invariants: the host takes no new VM from the intent on. It is shut down, and its power cut if it does not, only after the manager's own rows and a fresh list
 * of the agent say that no VM is there (none at rest either: it could be started meanwhile), and while it is well. From just
 * before that on high availability knows it as `standby`, so its silence is no incident; it never becomes a proof of death, for
 * there is nothing to start elsewhere. A device that lies is found out: the host has to fall silent.
 */
import { vmList } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Executor, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { haIncidents } from '../store/ha-incidents.ts';
import { hostHa, setHostHa } from '../store/host-ha.ts';
import { hostStandby, setStandby, standbyOf } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import type { TaskRow } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { evacuateHost, notEmpty, requireEmpty } from './host-evacuation.ts';
import { byAnyDevice } from './host-power.ts';
import { offOrStaying, shutDownHost } from './host-shut-down.ts';
import { defineStep, defineTask, type StepContext } from './kind.ts';
import type { TaskParams } from './params.ts';
import { openTasks, reasonToStayOn, worksOn } from './power-saving-world.ts';

type Context = StepContext<TaskParams<'host-standby'>>;

const lookEveryMs = 300;
/** Heartbeats stay away well before. */
const heartbeatsEndWithinMs = 30_000;

/** A host whose device does not answer is not emptied for nothing. */
const checkPower = defineStep('host-standby', {
  name: 'check-power',
  weight: 0.1,
  run: async ({ db, params, power, signal }) => {
    const host = await hosts.get(db, params.hostId);
    const { reading } = await byAnyDevice(db, host, 'read', (id) => power.powerState(id, signal));
    if (reading.state === 'on') return;
    throw needed(host.name, 'its power device says that it is off, but it runs: is that the device of this host?');
  },
  undo: async () => {},
});

const evacuate = defineStep('host-standby', {
  name: 'evacuate',
  run: async (context) => {
    const { db, params, task } = context;
    const total = await vms.count(db, { hostId: params.hostId });
    const holds = async (tx: Tx): Promise<boolean> => (await standbyOf(tx, params.hostId))?.taskId === task.id;
    await evacuateHost(context, { total, holds });
  },
  apply: async ({ tx, params }) => await requireEmpty(tx, params.hostId),
  undo: async () => {},
});

/** From here on its silence is no incident. */
const close = defineStep('host-standby', {
  name: 'close',
  weight: 0.1,
  run: async (context) => {
    await requireNobody(context.db, context.params.hostId, context.task);
    await requireNoDomain(context);
  },
  apply: async ({ tx, params, task, now }) => {
    await requireNobody(tx, params.hostId, task);
    const host = await hosts.get(tx, params.hostId);
    if (host.state !== 'up') throw needed(host.name, 'its agent is not heard');
    const row = (await standbyOf(tx, host.id))!;
    const reason = row.byPolicy ? await reasonToStayOn(tx, host, now) : undefined;
    if (reason !== undefined) throw needed(host.name, reason);
    await setHostHa(tx, params.hostId, { state: 'standby', because: row.because, since: now });
  },
  undo: async () => {},
});

const powerOff = defineStep('host-standby', {
  name: 'power-off',
  run: async (context) => {
    const { db, params, task, power, signal } = context;
    const host = await hosts.get(db, params.hostId);
    // Time may have passed since. Repeated after a crash, the host may be off already and cannot be asked.
    await requireNobody(db, params.hostId, task);
    if (host.state === 'up') await requireNoDomain(context);
    const stillNobody = (): Promise<void> => requireNobody(db, params.hostId, task);
    const wasShutDown = await shutDownHost(context, host, stillNobody);
    await stillNobody();
    if (!wasShutDown && (await hosts.get(db, host.id)).state === 'up') await requireNoDomain(context);
    const { device } = await byAnyDevice(db, host, 'switched off', (id) => power.powerOff(id, signal));
    return { device: device.name, wasShutDown };
  },
  apply: async ({ tx, params, task, now }, { wasShutDown }) => {
    if (wasShutDown) return;
    const what = 'did not shut down when it was asked to, so its power was cut';
    await tellStandby(tx, params.hostId, { at: now, task, what, severity: 'warning' });
  },
  undo: async (context) => {
    const { store, db, params, power, signal, clock } = context;
    const host = await hosts.get(db, params.hostId);
    await store.transaction(async (tx) => setStandby(tx, host.id, { phase: 'waking', since: clock.now() }));
    try {
      await offOrStaying(context, host);
      await byAnyDevice(db, host, 'switched on', (id) => power.powerOn(id, signal));
    } catch (error) {
      // Who looks after hosts that are waking says so when it does not come up.
      if (!(error instanceof KvasirError) || error.code !== 'fencing-failed') throw error;
    }
  },
});

/** The device said that it is off; its heartbeats have to end too. */
const fallSilent = defineStep('host-standby', {
  name: 'fall-silent',
  run: async ({ db, params, clock, signal }) => {
    const deadline = clock.now() + heartbeatsEndWithinMs;
    for (;;) {
      const host = await hosts.get(db, params.hostId);
      if (host.state !== 'up') return;
      if (clock.now() >= deadline)
        throw needed(host.name, 'its power device says that it is off, but its agent is still heard');
      await clock.sleep(lookEveryMs, signal);
    }
  },
  apply: async ({ tx, params, task, now }) => {
    await setStandby(tx, params.hostId, { phase: 'standby', since: now });
    const { because } = (await standbyOf(tx, params.hostId))!;
    await tellStandby(tx, params.hostId, { at: now, task, what: `is in standby: ${because}` });
  },
  undo: async () => {},
});

export const hostStandbyTask = defineTask({
  kind: 'host-standby',
  cancellable: true,
  steps: [checkPower, evacuate, close, powerOff, fallSilent],
  undone: async ({ tx, params, task, now }, because) => {
    const row = await standbyOf(tx, params.hostId);
    if (row === undefined) return;
    const told = { at: now, task, severity: because.code === 'cancelled' ? 'info' : 'warning' } as const;
    if (row.phase === 'waking') {
      // Counted from now: the power was cut before, if it was, so who is heard later is really back.
      await setStandby(tx, params.hostId, { since: now });
      await tellStandby(tx, params.hostId, { ...told, what: `is switched on again: ${because.message}` });
      return;
    }
    await backInService(tx, params.hostId, now, because.message);
    await tellStandby(tx, params.hostId, { ...told, what: `was not sent to standby: ${because.message}` });
  },
});

/** The host takes VMs as it did before it was sent to standby. */
export async function backInService(tx: Tx, hostId: string, now: number, because: string): Promise<void> {
  const row = await standbyOf(tx, hostId);
  if (row === undefined) return;
  await hosts.update(tx, hostId, { schedulable: row.wasSchedulable }, { now });
  await hostStandby.remove(tx, { hostId });
  // What high availability found meanwhile stays: that it was well is not known here.
  if ((await hostHa.find(tx, { hostId }))?.state === 'standby')
    await setHostHa(tx, hostId, { state: 'running', because, since: now });
}

export interface Told {
  readonly at: number;
  readonly what: string;
  readonly task?: TaskRow;
  readonly severity?: 'info' | 'warning' | 'error';
  readonly kind?: string;
}

export async function tellStandby(tx: Tx, hostId: string, { at, what, task, severity, kind }: Told): Promise<void> {
  const { name } = await hosts.get(tx, hostId);
  await appendEvent(tx, {
    at,
    kind: kind ?? 'host.standby',
    severity: severity ?? 'info',
    message: `Host ${name} ${what}`,
    target: { kind: 'host', id: hostId, name },
    taskId: task?.id ?? null,
    userId: task?.userId ?? null,
  });
}

/** The manager's own view. @throws host-not-empty, host-needed */
async function requireNobody(db: Executor, hostId: string, task: TaskRow): Promise<void> {
  const host = await hosts.get(db, hostId);
  const there = [...(await vms.select(db, { hostId }, 'name')), ...(await vms.select(db, { reservedHostId: hostId }))];
  if (there.length > 0)
    throw notEmpty(
      host.name,
      there.map(({ name, state }) => `${name}: it is ${state}`),
    );
  if ((await standbyOf(db, hostId))?.taskId !== task.id || host.schedulable)
    throw needed(host.name, 'it was opened to VMs meanwhile');
  const ha = (await hostHa.find(db, { hostId }))?.state ?? 'running';
  if (ha !== 'running' && ha !== 'standby') throw needed(host.name, `it is ${ha}`);
  if ((await haIncidents.count(db, { clusterId: host.clusterId, closedAt: null })) > 0)
    throw needed(host.name, 'an incident is open in its cluster');
  const working = worksOn(
    (await openTasks(db)).filter(({ id }) => id !== task.id),
    hostId,
  );
  if (working !== undefined) throw needed(host.name, `the task ${working.kind} of ${working.targetName} needs it`);
}

/** The agent's own view, asked for now. Foreign domains count: somebody uses them. @throws host-not-empty */
async function requireNoDomain({ call, db, params }: Context): Promise<void> {
  const { domains } = await call(params.hostId, vmList, {});
  const there = domains.filter(({ managed, state, incoming }) => managed || incoming || !restingStates.includes(state));
  if (there.length === 0) return;
  const { name } = await hosts.get(db, params.hostId);
  throw notEmpty(
    name,
    there.map((domain) => `${domain.name}: its host says that it is ${domain.state}`),
  );
}

/** Of domains that somebody else made; those of ours are not there at all. */
const restingStates: readonly string[] = ['stopped', 'crashed'];

function needed(host: string, reason: string): KvasirError {
  return new KvasirError('host-needed', { host, reason });
}
