/**
 * Empties a host and takes it out. Each VM moves by a task of its own, a few at once; what has moved stays moved whatever
 * becomes of this task. Undone (cancelled, or because a VM cannot leave) the host takes VMs again; moves that run go to
 * their end.
 *
 * Invariants: the host takes no new VM from the intent on; it is out (and high availability leaves it alone) only once no VM
 * runs on it. VMs at rest that cannot move stay: they lose nothing by it. All that this goes by are rows, so that another
 * manager goes on with it.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Executor, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { openRestart } from '../store/ha-incidents.ts';
import { setHostHa } from '../store/host-ha.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hosts } from '../store/hosts.ts';
import { type TaskRow, taskIdsByTarget, tasks } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { defineStep, defineTask, type StepContext } from './kind.ts';
import type { TaskParams } from './params.ts';
import { enqueueMove } from './vm-move-intent.ts';

type Params = TaskParams<'host-maintenance'>;

const lookEveryMs = 300;
/** Moves of one VM that may fail before it counts as one that cannot leave. */
const triesEach = 3;

const evacuate = defineStep('host-maintenance', {
  name: 'evacuate',
  run: async (context) => {
    const evacuation = new Evacuation(context);
    while (!(await evacuation.look())) await context.clock.sleep(lookEveryMs, context.signal);
  },
  apply: async ({ tx, params, now, task }) => {
    const staying = await running(tx, params.hostId);
    if (staying.length > 0)
      throw notEmpty(
        await nameOf(tx, params.hostId),
        staying.map(({ name }) => `${name}: it runs`),
      );
    const because = 'an operator took it out';
    await setHostHa(tx, params.hostId, { state: 'maintenance', because, since: now });
    await tell(tx, params.hostId, task, now, 'is in maintenance: no VM runs on it');
  },
  undo: async () => {},
});

export const hostMaintenanceTask = defineTask({
  kind: 'host-maintenance',
  cancellable: true,
  steps: [evacuate],
  undone: async ({ tx, params, task, now }, because) => {
    await openAgain(tx, params.hostId, now);
    await tell(tx, params.hostId, task, now, `stays in service: ${because.message}`);
  },
});

/** The host takes VMs as it did before it was taken out. */
export async function openAgain(tx: Tx, hostId: string, now: number): Promise<void> {
  const row = await hostMaintenance.find(tx, { hostId });
  if (row === undefined) return;
  await hosts.update(tx, hostId, { schedulable: row.wasSchedulable }, { now });
  await hostMaintenance.remove(tx, { hostId });
}

/** Whether a VM is at rest in a way that may stay on a host that is out. */
export function mayStay({ state }: Pick<VmRow, 'state'>): boolean {
  return (
    state === 'stopped' || state === 'suspended' || state === 'crashed' || state === 'failed' || state === 'trashed'
  );
}

class Evacuation {
  readonly #context: StepContext<Params>;
  readonly #snapshots: ClusterSnapshots;
  readonly #failures = new Map<string, { count: number; reason: string }>();
  readonly #moves = new Map<string, string>();

  constructor(context: StepContext<Params>) {
    this.#context = context;
    this.#snapshots = new ClusterSnapshots(context.clock);
  }

  /** True: nothing is left to wait for. @throws host-not-empty */
  async look(): Promise<boolean> {
    const { db, params, signal } = this.#context;
    signal.throwIfAborted();
    await this.#noteEnds();
    const here = await vms.select(db, { hostId: params.hostId }, 'name');
    const locks = await taskIdsByTarget(
      db,
      here.map(({ id }) => id),
    );
    await this.#tellProgress(here);
    const busy = here.filter(({ id }) => locks.has(id));
    const moving = [...this.#moves.keys()];
    let free = params.parallel - new Set([...moving, ...busy.map(({ id }) => id)]).size;
    const stuck: string[] = [];
    let waits = busy.length > 0 || moving.length > 0;
    for (const vm of here) {
      if (locks.has(vm.id) || this.#moves.has(vm.id)) continue;
      const failure = this.#failures.get(vm.id);
      if (failure !== undefined && failure.count >= triesEach) {
        if (!mayStay(vm)) stuck.push(`${vm.name}: ${failure.reason}`);
        continue;
      }
      // High availability starts it again, here or elsewhere; then it can move.
      if (vm.state === 'crashed' && (await openRestart(db, vm.id)) !== undefined) waits = true;
      if (mayStay(vm) && vm.state !== 'stopped') continue;
      if (free <= 0) {
        waits = true;
        continue;
      }
      free -= 1;
      waits = (await this.#move(vm)) || waits;
    }
    if (waits) return false;
    if (stuck.length > 0) throw notEmpty(await nameOf(db, params.hostId), stuck);
    // Another look, if something could not be moved just now and may be tried again.
    return here.every((vm) => mayStay(vm) && (vm.state !== 'stopped' || this.#failures.has(vm.id)));
  }

  /** Whether it moves now. */
  async #move(vm: VmRow): Promise<boolean> {
    const { store, enqueue, params, task } = this.#context;
    try {
      const move = { vmId: vm.id, fromHostId: params.hostId, userId: task.userId };
      const seams = { enqueue, clusterSnapshots: this.#snapshots };
      const row = await store.transaction(async (tx) => {
        if ((await hostMaintenance.find(tx, { hostId: params.hostId }))?.taskId !== task.id)
          throw new KvasirError('cancelled');
        return await enqueueMove(tx, seams, move);
      });
      this.#moves.set(vm.id, row.id);
      return true;
    } catch (error) {
      if (!(error instanceof KvasirError) || error.code === 'cancelled') throw error;
      if (error.code === 'busy') return true;
      // What cannot be placed now cannot be placed in a moment either, unless a place comes free by another move.
      this.#failed(vm.id, String(error.details['reason'] ?? error.message), error.code === 'migration-impossible');
      return false;
    }
  }

  async #noteEnds(): Promise<void> {
    const { db } = this.#context;
    if (this.#moves.size === 0) return;
    const ended = ['succeeded', 'failed', 'cancelled', 'parked'] as const;
    const rows = await tasks.select(db, { id: [...this.#moves.values()], state: ended });
    for (const { id, state, targetId, error } of rows) {
      if (this.#moves.get(targetId) === id) this.#moves.delete(targetId);
      if (state !== 'succeeded')
        this.#failed(targetId, error?.message ?? `its move was ${state}`, state === 'cancelled');
      // A place may have come free.
      else for (const failure of this.#failures.values()) failure.count = Math.min(failure.count, triesEach - 1);
    }
  }

  #failed(vmId: string, reason: string, forGood: boolean): void {
    const count = (this.#failures.get(vmId)?.count ?? 0) + 1;
    this.#failures.set(vmId, { count: forGood ? triesEach : count, reason });
  }

  async #tellProgress(here: readonly VmRow[]): Promise<void> {
    const { db, params, progress } = this.#context;
    const row = await hostMaintenance.find(db, { hostId: params.hostId });
    const total = row?.total ?? 0;
    const left = here.filter((vm) => vm.state === 'stopped' || !mayStay(vm)).length;
    progress({ percent: total === 0 ? 0 : Math.max(0, Math.floor((100 * (total - left)) / total)) });
  }
}

async function running(db: Executor, hostId: string): Promise<VmRow[]> {
  const here = await vms.select(db, { hostId }, 'name');
  const coming = await vms.select(db, { reservedHostId: hostId }, 'name');
  return [...here, ...coming.filter((vm) => vm.hostId !== hostId)].filter((vm) => !mayStay(vm));
}

function notEmpty(host: string, reasons: readonly string[]): KvasirError {
  return new KvasirError('host-not-empty', { host, count: reasons.length, reasons: reasons.join('; ') });
}

async function nameOf(db: Executor, hostId: string): Promise<string> {
  return (await hosts.get(db, hostId)).name;
}

async function tell(tx: Tx, hostId: string, task: TaskRow, at: number, what: string): Promise<void> {
  const { name } = await hosts.get(tx, hostId);
  await appendEvent(tx, {
    at,
    kind: 'host.maintenance',
    message: `Host ${name} ${what}`,
    target: { kind: 'host', id: hostId, name },
    taskId: task.id,
    userId: task.userId,
  });
}
