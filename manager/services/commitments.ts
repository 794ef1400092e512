/**
 * Which capacity of hosts is promised: the one definition, for placement and for what a host shows. A VM counts on its host
 * while it runs or may run (also while its host is not connected, while it is being made, and while any task works on it),
 * and on the destination that is reserved for it. A stopped or suspended VM that nobody works on promises nothing.
 */
import { sql } from 'kysely';
import type { Executor } from '../store/database.ts';

export interface Committed {
  readonly vms: number;
  readonly cpus: number;
  readonly memoryMib: number;
}

/** A condition on `vms`, in SQL. */
export const isCommitted = sql<boolean>`(vms.state in ('creating', 'running', 'paused', 'crashed', 'unknown')
  or exists (select 1 from task_locks where task_locks.target_id = vms.id))`;

/** What is promised on each of these hosts, without the VM `exceptVmId`; hosts without promises are left out. */
export async function committedOn(
  db: Executor,
  hostIds: readonly string[],
  exceptVmId = '',
): Promise<ReadonlyMap<string, Committed>> {
  if (hostIds.length === 0) return new Map();
  const ids = sql.join([...hostIds]);
  const { rows } = await sql<Committed & { hostId: string }>`
    select host_id, count(*) as vms, sum(cpus) as cpus, sum(memory_mib) as memory_mib from (
      select host_id, cpus, memory_mib from vms where host_id in (${ids}) and id <> ${exceptVmId} and ${isCommitted}
      union all
      select reserved_host_id, cpus, memory_mib from vms
      where reserved_host_id in (${ids}) and id <> ${exceptVmId} and (host_id is null or host_id <> reserved_host_id)
    ) as committed group by host_id`.execute(db);
  return new Map(rows.map(({ hostId, vms, cpus, memoryMib }) => [hostId, { vms, cpus, memoryMib }]));
}
