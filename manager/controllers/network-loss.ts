/**
 * Moves VMs away from hosts that lost their connection to the VM networks, where the cluster says `networkLost: restart`. What leaves is
 * decided by `control/ha/network-loss.ts`; here it is read, and each move decided again in the transaction that enqueues it.
 * A VM that finds no other place stays and is tried again; the incident's timeline says so, once for each reason.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { type MoveAway, movesAway } from '@kvasir/control/ha/network-loss.ts';
import type { Ids } from '../ids.ts';
import type { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Executor, Store, Tx } from '../store/database.ts';
import { appendTimeline, haIncidents, type NewTimelineEntry } from '../store/ha-incidents.ts';
import { haPolicyOf, vmHaOf } from '../store/ha-settings.ts';
import { hostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { ports } from '../store/networks.ts';
import { taskIdsByTarget } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import type { Enqueue } from '../tasks/kind.ts';
import { enqueueMove } from '../tasks/vm-move-intent.ts';
import { type Log, Rounds } from './rounds.ts';

export interface NetworkLossSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly clusterSnapshots: ClusterSnapshots;
  readonly epoch: () => number | undefined;
}

const everyMs = 1000;
/** Also after a move that was begun: should it fail, it is not begun again at once. */
const retryMs = 30_000;

/** What was tried of a VM, and what was said of it. */
interface Try {
  readonly notBeforeMs: number;
  readonly reason: string | null;
}

export class NetworkLoss {
  readonly #seams: NetworkLossSeams;
  readonly #tries = new Map<string, Try>();

  constructor(seams: NetworkLossSeams) {
    this.#seams = seams;
  }

  async round(): Promise<void> {
    const { store } = this.#seams;
    if ((await hostHa.count(store.db, { state: 'network-lost' })) === 0) {
      this.#tries.clear();
      return;
    }
    for (const move of await this.#decide(store.db)) {
      try {
        await store.transaction((tx) => this.#move(tx, move));
      } catch (error) {
        if (!(error instanceof KvasirError) || error.code === 'not-leader') throw error;
        await this.#stays(move, error.message);
      }
    }
  }

  async #move(tx: Tx, { vmId, hostId, because }: MoveAway): Promise<void> {
    const { clock, clusterSnapshots } = this.#seams;
    await this.#requireLead(tx);
    const again = await this.#decide(tx);
    if (!again.some((one) => one.vmId === vmId && one.hostId === hostId)) return;
    const enqueue: Enqueue = (at, task) => enqueueTask(at, this.#seams, task);
    await enqueueMove(tx, { enqueue, clusterSnapshots }, { vmId, fromHostId: hostId, userId: null });
    const now = clock.now();
    this.#tries.set(vmId, { notBeforeMs: now + retryMs, reason: null });
    const message = `${(await vms.get(tx, vmId)).name} moves to another host`;
    await this.#tell(tx, hostId, { at: now, kind: 'decided', message, because });
  }

  async #stays({ vmId, hostId }: MoveAway, reason: string): Promise<void> {
    const now = this.#seams.clock.now();
    const said = this.#tries.get(vmId)?.reason === reason;
    this.#tries.set(vmId, { notBeforeMs: now + retryMs, reason });
    if (said) return;
    await this.#seams.store.transaction(async (tx) => {
      const name = (await vms.find(tx, { id: vmId }))?.name ?? vmId;
      await this.#tell(tx, hostId, { at: now, kind: 'failed', message: `${name} stays where it is: ${reason}` });
    });
  }

  async #tell(tx: Tx, hostId: string, entry: NewTimelineEntry): Promise<void> {
    const [incident] = await haIncidents.select(tx, { hostId, closedAt: null });
    if (incident !== undefined) await appendTimeline(tx, incident.id, [entry]);
  }

  async #decide(db: Executor): Promise<MoveAway[]> {
    const lost = new Map((await hostHa.select(db, { state: 'network-lost' })).map((row) => [row.hostId, row]));
    const unlinked = [];
    for (const { id: hostId, clusterId } of await hosts.select(db, { id: [...lost.keys()], state: 'up' })) {
      const { since, because } = lost.get(hostId)!;
      const policy = await haPolicyOf(db, clusterId);
      unlinked.push({ hostId, sinceMs: since, because: because ?? 'its connection is down', policy });
    }
    const there = await vms.select(db, { hostId: unlinked.map(({ hostId }) => hostId) });
    const ids = there.map(({ id }) => id);
    const [busy, ha] = [await taskIdsByTarget(db, ids), await vmHaOf(db, ids)];
    const withNics = new Set((await ports.select(db, { vmId: ids, connected: true })).map(({ vmId }) => vmId));
    const facts = there.flatMap(({ id, name, hostId, state }) =>
      hostId === null
        ? []
        : [
            {
              ...{ id, name, hostId, running: state === 'running', hasNics: withNics.has(id), ha: ha.get(id)! },
              ...{ busy: busy.has(id), notBeforeMs: this.#tries.get(id)?.notBeforeMs ?? 0 },
            },
          ],
    );
    return movesAway(unlinked, facts, this.#seams.clock.now());
  }

  async #requireLead(tx: Tx): Promise<void> {
    const epoch = this.#seams.epoch();
    if (epoch === undefined || (await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
  }
}

export function leaveUnlinkedHosts(seams: NetworkLossSeams, log: Log): Rounds {
  const loss = new NetworkLoss(seams);
  const round = () => loss.round();
  return new Rounds({ name: 'leaving of hosts without networks', clock: seams.clock, everyMs, log, round });
}
