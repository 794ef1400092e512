/**
 * Moves all VMs away from a host, for maintenance and for standby. Each VM moves by a task of its own, a few at once; what has moved
 * stays moved whatever becomes of the task that asked for it. The host must be closed to new VMs already. It ends at once when the
 * host is proven dead: what ran there is restarted by high availability, and there is nothing left to move.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Executor, Tx } from '../store/database.ts';
import { openRestart } from '../store/ha-incidents.ts';
import { hosts } from '../store/hosts.ts';
import { taskIdsByTarget, tasks } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import type { StepContext } from './kind.ts';
import { deathOf, hostDead } from './proven-dead.ts';
import { enqueueMove } from './vm-move-intent.ts';

export interface Evacuee {
  readonly hostId: string;
  readonly parallel: number;
}

export interface EvacuationOrder {
  /** VMs that were to leave when it began: for the progress. */
  readonly total: number;
  /** Whether the task still has the host: read in the transaction of each move. */
  holds(tx: Tx): Promise<boolean>;
}

const lookEveryMs = 300;
/** Moves of one VM that may fail before it counts as one that cannot leave. */
const triesEach = 3;

/** Returns when nothing runs there any more that could leave. @throws host-not-empty, host-dead, cancelled */
export async function evacuateHost(context: StepContext<Evacuee>, order: EvacuationOrder): Promise<void> {
  const evacuation = new Evacuation(context, order);
  while (!(await evacuation.look())) await context.clock.sleep(lookEveryMs, context.signal);
}

/** In the transaction that goes by it. @throws host-not-empty */
export async function requireEmpty(tx: Tx, hostId: string): Promise<void> {
  const staying = await running(tx, hostId);
  if (staying.length === 0) return;
  const reasons = staying.map(({ name }) => `${name}: it runs`);
  throw notEmpty((await hosts.get(tx, hostId)).name, reasons);
}

export function notEmpty(host: string, reasons: readonly string[]): KvasirError {
  return new KvasirError('host-not-empty', { host, count: reasons.length, reasons: reasons.join('; ') });
}

/** Whether a VM is at rest in a way that may stay on a host that is out. */
export function mayStay({ state }: Pick<VmRow, 'state'>): boolean {
  return (
    state === 'stopped' || state === 'suspended' || state === 'crashed' || state === 'failed' || state === 'trashed'
  );
}

class Evacuation {
  readonly #context: StepContext<Evacuee>;
  readonly #order: EvacuationOrder;
  readonly #snapshots: ClusterSnapshots;
  readonly #failures = new Map<string, { count: number; reason: string }>();
  readonly #moves = new Map<string, string>();

  constructor(context: StepContext<Evacuee>, order: EvacuationOrder) {
    this.#context = context;
    this.#order = order;
    this.#snapshots = new ClusterSnapshots(context.clock);
  }

  /** True: nothing is left to wait for. @throws host-not-empty, host-dead */
  async look(): Promise<boolean> {
    const { db, params, signal } = this.#context;
    signal.throwIfAborted();
    const proof = await deathOf(db, params.hostId);
    if (proof !== undefined) throw await hostDead(db, proof);
    await this.#noteEnds();
    const here = await vms.select(db, { hostId: params.hostId }, 'name');
    const locks = await taskIdsByTarget(
      db,
      here.map(({ id }) => id),
    );
    this.#tellProgress(here);
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
      // High availability starts it again, here or elsewhere; then it can move. Where it finds no place, this host may be the one.
      if (vm.state === 'crashed' && (await openRestart(db, vm.id))?.reason === null) waits = true;
      if (mayStay(vm) && vm.state !== 'stopped') continue;
      if (free <= 0) {
        waits = true;
        continue;
      }
      free -= 1;
      waits = (await this.#move(vm)) || waits;
    }
    if (waits) return false;
    if (stuck.length > 0) throw notEmpty((await hosts.get(db, params.hostId)).name, stuck);
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
        if (!(await this.#order.holds(tx))) throw new KvasirError('cancelled');
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

  #tellProgress(here: readonly VmRow[]): void {
    const { total } = this.#order;
    const left = here.filter((vm) => vm.state === 'stopped' || !mayStay(vm)).length;
    this.#context.progress({ percent: total === 0 ? 0 : Math.max(0, Math.floor((100 * (total - left)) / total)) });
  }
}

async function running(db: Executor, hostId: string): Promise<VmRow[]> {
  const here = await vms.select(db, { hostId }, 'name');
  const coming = await vms.select(db, { reservedHostId: hostId }, 'name');
  return [...here, ...coming.filter((vm) => vm.hostId !== hostId)].filter((vm) => !mayStay(vm));
}
