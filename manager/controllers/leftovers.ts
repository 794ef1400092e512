/**
 * What is left of VMs on hosts where they do not belong any more: a host that was proven dead comes back and still has the
 * definitions of VMs that run elsewhere by now. Stopped ones are undefined there. One that runs where it does not belong is
 * nobody's to stop without an operator, for it may hold the newer data: an alarm says so.
 */
import { vmUndefine } from '@kvasir/api/agent/vm.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { sql } from 'kysely';
import type { Ids } from '../ids.ts';
import type { Executor, Store } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import type { HostCalls } from '../tasks/kind.ts';
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
    .where(sql<boolean>`vms.host_id is not null and vms.host_id <> host_domains.host_id`)
    .where(sql<boolean>`(vms.reserved_host_id is null or vms.reserved_host_id <> host_domains.host_id)`)
    .where(sql<boolean>`not exists (select 1 from task_locks where task_locks.target_id = vms.id)`)
    .execute();
  return rows.map((row) => ({ ...row }));
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
    const { store, calls, ids } = this.#seams;
    let cleared = 0;
    for (const leftover of await findLeftovers(store.db)) {
      const { vmId, hostId, state } = leftover;
      if (state === 'running' || state === 'paused') await this.#alarm(leftover);
      if (state !== 'stopped' && state !== 'crashed') continue;
      try {
        // The host itself refuses should the VM run there after all.
        await calls.call(hostId, vmUndefine, { vmId }, { key: `leftover/${ids.uuid()}` });
        cleared += 1;
      } catch (error) {
        if (!(error instanceof KvasirError)) throw error;
      }
    }
    return cleared;
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
