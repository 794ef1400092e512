/** VMs as decisions about high availability see them: those of troubled hosts, those being restarted, and what these depend on. */
import type { RestartFacts, RestartState, VmFacts } from '@kvasir/control/ha/snapshot.ts';
import type { Executor } from '../store/database.ts';
import { type HaRestartRow, haRestarts } from '../store/ha-incidents.ts';
import { vmHaOf } from '../store/ha-settings.ts';
import { hostDomains } from '../store/host-domains.ts';
import { type TaskRow, taskIdsByTarget, tasks } from '../store/tasks.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';

export async function readHaVms(db: Executor, clusterId: string, hostIds: readonly string[]): Promise<VmFacts[]> {
  const restarts = new Map((await haRestarts.select(db, { endedAt: null })).map((row) => [row.vmId, row]));
  const onHosts = hostIds.length === 0 ? [] : await vms.select(db, { clusterId, hostId: hostIds });
  const known = new Set(onHosts.map(({ id }) => id));
  const restarting = [...restarts.keys()].filter((id) => !known.has(id));
  const rows = [...onHosts, ...(restarting.length === 0 ? [] : await vms.select(db, { clusterId, id: restarting }))];
  return await haVmFacts(db, await withDependencies(db, rows), restarts);
}

/** And all VMs that they depend on, also through others. */
async function withDependencies(db: Executor, rows: readonly VmRow[]): Promise<VmRow[]> {
  const all = new Map(rows.map((row) => [row.id, row]));
  let fresh = rows;
  while (fresh.length > 0) {
    const settings = await vmHaOf(
      db,
      fresh.map(({ id }) => id),
    );
    const wanted = Map.groupBy(
      fresh.flatMap(({ id, projectId }) => (settings.get(id)?.dependsOn ?? []).map((name) => ({ projectId, name }))),
      ({ projectId }) => projectId,
    );
    const found: VmRow[] = [];
    for (const [projectId, names] of wanted) {
      found.push(...(await vms.select(db, { projectId, name: names.map(({ name }) => name), trashedAt: null })));
    }
    fresh = found.filter(({ id }) => !all.has(id));
    for (const row of fresh) all.set(row.id, row);
  }
  return [...all.values()];
}

export async function haVmFacts(
  db: Executor,
  rows: readonly VmRow[],
  restarts: ReadonlyMap<string, HaRestartRow>,
): Promise<VmFacts[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const settings = await vmHaOf(db, ids);
  const disks = Map.groupBy(await vmDisks.select(db, { vmId: ids }), ({ vmId }) => vmId);
  const volumeIds = [...disks.values()].flat().map(({ volumeId }) => volumeId);
  const volumeOf = new Map((await volumes.select(db, { id: volumeIds })).map((row) => [row.id, row]));
  const seen = new Map(
    (await hostDomains.select(db, { domainId: ids })).map((row) => [`${row.hostId}/${row.domainId}`, row.state]),
  );
  const locks = await taskIdsByTarget(db, [...ids, ...volumeIds]);
  const taskIds = [...restarts.values()].flatMap(({ taskId }) => taskId ?? []);
  const taskOf = new Map((await tasks.select(db, { id: taskIds })).map((row) => [row.id, row]));
  return rows.map((row): VmFacts => {
    const restart = restarts.get(row.id);
    const used = (disks.get(row.id) ?? []).flatMap(({ volumeId }) => volumeOf.get(volumeId) ?? []);
    const holders = [row, ...used].flatMap(({ id }) => locks.get(id) ?? []);
    return {
      id: row.id,
      name: row.name,
      projectId: row.projectId,
      clusterId: row.clusterId,
      hostId: row.hostId,
      state: row.state,
      desiredState: row.desiredState,
      lastSeen: seen.get(`${row.hostId}/${row.id}`) ?? null,
      ha: settings.get(row.id)!,
      poolIds: [...new Set(used.map(({ poolId }) => poolId))],
      shared: used.every(({ hostId }) => hostId === null),
      guestAgent: row.guest?.agent === true,
      busy: holders.some((taskId) => taskId !== restart?.taskId),
      restart: restart ? restartFacts(restart, taskOf) : null,
    };
  });
}

const taskStates = { succeeded: 'succeeded', failed: 'failed', cancelled: 'failed', parked: 'parked' } as const;

function restartFacts(row: HaRestartRow, taskOf: ReadonlyMap<string, TaskRow>): RestartFacts {
  const task = row.taskId === null ? undefined : taskOf.get(row.taskId);
  const state = task && ((taskStates as Record<string, 'succeeded' | 'failed' | 'parked'>)[task.state] ?? 'open');
  return {
    id: row.id,
    incidentId: row.incidentId,
    state: row.state as RestartState,
    fromHostId: row.fromHostId,
    toHostId: row.toHostId,
    attempts: row.attempts,
    notBeforeMs: row.notBefore,
    sinceMs: row.since,
    hadGuestAgent: row.hadGuestAgent,
    task: task && state ? { id: task.id, state, error: task.error?.message ?? null } : null,
  };
}
