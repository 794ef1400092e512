/**
 * Which capacity of hosts is promised: the one definition, for placement and for what a host shows. A VM counts on its host
 * while it runs or may run (also while its host is not connected, while it is being made, and while any task works on it),
 * and on the destination that is reserved for it. A stopped or suspended VM that nobody works on promises nothing.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Executor } from './database.ts';

export interface Committed {
  readonly vms: number;
  readonly cpus: number;
  readonly memoryMib: number;
}

/** What one VM has promised to itself, on its host and on the destination of its migration. */
export interface OwnPromise {
  readonly hostIds: readonly string[];
  readonly cpus: number;
  readonly memoryMib: number;
}

/** These hosts, or all of a cluster. */
export type HostSet = { readonly hostIds: readonly string[] } | { readonly clusterId: string };

/** Their ids in SQL, for `in (…)`. */
export function idsOf(hosts: HostSet): RawBuilder<unknown> {
  if ('clusterId' in hosts) return sql`select id from hosts where cluster_id = ${hosts.clusterId}`;
  return hosts.hostIds.length === 0 ? sql`null` : sql.join([...hosts.hostIds]);
}

/** A condition on `vms`, in SQL. */
export const isCommitted = sql<boolean>`(vms.state in ('creating', 'running', 'paused', 'crashed', 'unknown')
  or exists (select 1 from task_locks where task_locks.target_id = vms.id))`;

/** What is promised on each of the hosts; hosts without promises are left out. */
export async function committedOn(db: Executor, hosts: HostSet): Promise<ReadonlyMap<string, Committed>> {
  const ids = idsOf(hosts);
  const { rows } = await sql<Committed & { hostId: string }>`
    select host_id, count(*) as vms, sum(cpus) as cpus, sum(memory_mib) as memory_mib from (
      select host_id, cpus, memory_mib from vms where host_id in (${ids}) and ${isCommitted}
      union all
      select reserved_host_id, cpus, memory_mib from vms
      where reserved_host_id in (${ids}) and (host_id is null or host_id <> reserved_host_id)
    ) as committed group by host_id`.execute(db);
  return new Map(rows.map(({ hostId, vms, cpus, memoryMib }) => [hostId, { vms, cpus, memoryMib }]));
}

/** What this VM has a part in; undefined when it promises nothing, or is not there yet. */
export async function ownPromise(db: Executor, vmId: string): Promise<OwnPromise | undefined> {
  const row = await db
    .selectFrom('vms')
    .select(['hostId', 'reservedHostId', 'cpus', 'memoryMib', isCommitted.as('committed')])
    .where('id', '=', vmId)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { hostId, reservedHostId, cpus, memoryMib } = row;
  const hostIds = [...new Set([row.committed ? hostId : null, reservedHostId])].filter((id) => id !== null);
  return hostIds.length === 0 ? undefined : { hostIds, cpus, memoryMib };
}
