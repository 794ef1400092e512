/**
 * What is left on hosts where it does not belong any more: a host that was proven dead comes back and still has the definitions of
 * VMs that run elsewhere by now, and what tasks noted that were taken back without it. Definitions at rest and noted files are
 * cleared there. A VM that runs where it does not belong is nobody's to stop without an operator, for it may hold the newer
 * data: an alarm says so.
 *
 * Nothing is asked of a host that was not noted before, in a transaction that saw that no task works on it: a task that comes later
 * finds the note, and has it worked off before it makes anything there.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { sql } from 'kysely';
import type { Ids } from '../ids.ts';
import type { Executor, Store } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { type HostLeftoverRow, hostLeftovers, noteLeftover } from '../store/host-leftovers.ts';
import { hosts } from '../store/hosts.ts';
import { imageCopies } from '../store/images.ts';
import { taskLocks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import type { HostCalls } from '../tasks/kind.ts';
import { clearLeftover } from '../tasks/leftover-clearing.ts';
import { type Log, Rounds } from './rounds.ts';

export interface LeftoverSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly calls: Pick<HostCalls, 'call'>;
}

const everyMs = 10_000;
const repeatAlarmMs = 3_600_000;

export interface Leftover {
  readonly vmId: string;
  readonly vmName: string;
  readonly projectId: string;
  readonly hostId: string;
  readonly hostName: string;
  readonly state: string;
}

/** Of VMs that no task works on, on hosts that are up. */
export async function findLeftovers(db: Executor): Promise<Leftover[]> {
  const rows = await db
    .selectFrom('hostDomains')
    .innerJoin('vms', 'vms.id', 'hostDomains.domainId')
    .innerJoin('hosts', 'hosts.id', 'hostDomains.hostId')
    .select([
      'vms.id as vmId',
      'vms.name as vmName',
      'vms.projectId',
      'hosts.id as hostId',
      'hosts.name as hostName',
      'hostDomains.state',
    ])
    .where('hostDomains.managed', '=', 1)
    .where('hosts.state', '=', 'up')
    .where(sql<boolean>`(vms.host_id is null or vms.host_id <> host_domains.host_id)`)
    .where(sql<boolean>`(vms.reserved_host_id is null or vms.reserved_host_id <> host_domains.host_id)`)
    .where(sql<boolean>`not exists (select 1 from task_locks where task_locks.target_id = vms.id)`)
    .execute();
  return rows.map((row) => ({ ...row }));
}

/** Noted ones that may be cleared now: definitions first, for they hold the files. */
async function findNoted(db: Executor): Promise<HostLeftoverRow[]> {
  const up = (await hosts.select(db, { state: 'up' })).map(({ id }) => id);
  const rows = await hostLeftovers.select(db, { hostId: up }, 'kind');
  const free: HostLeftoverRow[] = [];
  for (const row of rows) if (!(await isWanted(db, row))) free.push(row);
  return free;
}

/** It belongs there (again), or a task works on it: whoever makes it there anew works the note off. */
async function isWanted(db: Executor, { hostId, kind, targetId, poolId }: HostLeftoverRow): Promise<boolean> {
  if ((await taskLocks.find(db, { targetId })) !== undefined) return true;
  const here = (place: string | null | undefined): boolean => place === hostId;
  if (kind === 'domain') {
    const vm = await vms.find(db, { id: targetId });
    return here(vm?.hostId) || here(vm?.reservedHostId);
  }
  if (kind === 'volume') {
    const volume = await volumes.find(db, { id: targetId });
    if (volume === undefined || volume.state === 'failed' || volume.poolId !== poolId) return false;
    return volume.hostId === null || here(volume.hostId);
  }
  const copies = await imageCopies.select(db, { imageId: targetId, ...(poolId === null ? {} : { poolId }) });
  return copies.some((copy) => copy.hostId === null || here(copy.hostId));
}

export class Leftovers {
  readonly #seams: LeftoverSeams;
  /** When the alarm about a VM on a host was raised last. */
  readonly #alarmed = new Map<string, number>();

  constructor(seams: LeftoverSeams) {
    this.#seams = seams;
  }

  /** Looks once; answers how many were cleared away. */
  async clear(): Promise<number> {
    const { store, calls } = this.#seams;
    for (const leftover of await findLeftovers(store.db)) {
      const { state } = leftover;
      if (state === 'running' || state === 'paused') await this.#alarm(leftover);
      if (state === 'stopped' || state === 'crashed') await this.#note(leftover);
    }
    let cleared = 0;
    for (const row of await findNoted(store.db)) {
      try {
        // The host itself refuses should the VM run there after all.
        if (await clearLeftover({ store, calls }, row)) cleared += 1;
      } catch (error) {
        if (!(error instanceof KvasirError)) throw error;
      }
    }
    return cleared;
  }

  /** From here on who defines the VM there waits until this is done; and if somebody is about to, it is not begun. */
  async #note({ vmId, hostId }: Leftover): Promise<void> {
    const { store, ids, clock } = this.#seams;
    await store.transaction(async (tx) => {
      const still = (await findLeftovers(tx)).some((each) => each.vmId === vmId && each.hostId === hostId);
      const place = { hostId, kind: 'domain', targetId: vmId, poolId: null, format: null } as const;
      if (still) await noteLeftover(tx, place, ids.uuid(), clock.now());
    });
  }

  async #alarm({ vmId, vmName, projectId, hostId, hostName }: Leftover): Promise<void> {
    const { store, clock } = this.#seams;
    const now = clock.now();
    const key = `${vmId}/${hostId}`;
    if (now - (this.#alarmed.get(key) ?? -Infinity) < repeatAlarmMs) return;
    this.#alarmed.set(key, now);
    await store.transaction((tx) =>
      appendEvent(tx, {
        at: now,
        kind: 'ha.runs-elsewhere',
        severity: 'error',
        message: `VM ${vmName} runs on ${hostName}, where it does not belong any more: look at both before you stop one`,
        target: { kind: 'vm', id: vmId, name: vmName },
        projectId,
        details: { hostId },
      }),
    );
  }
}

export function leftovers(seams: LeftoverSeams, log: Log): Rounds {
  const all = new Leftovers(seams);
  return new Rounds({ name: 'clearing of leftovers', clock: seams.clock, everyMs, log, round: () => all.clear() });
}
