/** What projects use of their quotas, counted from the rows. */
import type { Project } from '@kvasir/api/resources/project.ts';
import { sql } from 'kysely';
import type { Executor } from './database.ts';
import type { ProjectRow } from './projects.ts';

export type Usage = Project['used'];

/** Whose rows belong to a project itself. */
const owned = {
  networks: 'networks',
  securityGroups: 'security_groups',
  routers: 'routers',
  floatingAddresses: 'floating_addresses',
} as const satisfies Partial<Record<keyof Usage, string>>;

/** Use of several projects at once. A VM in the trash keeps its volumes and its ports, but neither processors nor memory. */
export async function usageOf(db: Executor, projectIds: readonly string[]): Promise<ReadonlyMap<string, Usage>> {
  if (projectIds.length === 0) return new Map();
  const ids = sql.join([...projectIds]);
  const vms = await sql<{ projectId: string; vms: number; cpus: number; memoryMib: number }>`
    select project_id, count(*) as vms, sum(cpus) as cpus, sum(memory_mib) as memory_mib
    from vms where project_id in (${ids}) and trashed_at is null group by project_id`.execute(db);
  const volumes = await sql<{ projectId: string; volumes: number; sizeMib: number }>`
    select project_id, count(*) as volumes, sum(size_mib) as size_mib
    from volumes where project_id in (${ids}) group by project_id`.execute(db);
  const images = await sql<{ projectId: string; sizeMib: number }>`
    select project_id, coalesce(sum(virtual_size_mib), 0) as size_mib
    from images where project_id in (${ids}) group by project_id`.execute(db);
  const ports = await sql<Count>`
    select vms.project_id as project_id, count(*) as count from ports join vms on vms.id = ports.vm_id
    where vms.project_id in (${ids}) group by vms.project_id
    union all
    select vms.project_id as project_id, count(*) as count from sub_ports
    join ports on ports.id = sub_ports.port_id join vms on vms.id = ports.vm_id
    where vms.project_id in (${ids}) group by vms.project_id`.execute(db);
  const counts: Record<string, readonly Count[]> = { ports: ports.rows };
  for (const [what, table] of Object.entries(owned)) {
    const counted = await sql<Count>`
      select project_id, count(*) as count from ${sql.table(table)}
      where project_id in (${ids}) group by project_id`.execute(db);
    counts[what] = counted.rows;
  }
  return new Map(
    projectIds.map((id) => {
      const machine = vms.rows.find((row) => row.projectId === id);
      const disk = volumes.rows.find((row) => row.projectId === id);
      const image = images.rows.find((row) => row.projectId === id);
      const counted = (what: string): number =>
        (counts[what] ?? []).filter((row) => row.projectId === id).reduce((sum, { count }) => sum + Number(count), 0);
      const usage: Usage = {
        vms: Number(machine?.vms ?? 0),
        cpus: Number(machine?.cpus ?? 0),
        memoryMib: Number(machine?.memoryMib ?? 0),
        volumes: Number(disk?.volumes ?? 0),
        storageGib: (Number(disk?.sizeMib ?? 0) + Number(image?.sizeMib ?? 0)) / 1024,
        networks: counted('networks'),
        securityGroups: counted('securityGroups'),
        routers: counted('routers'),
        floatingAddresses: counted('floatingAddresses'),
        ports: counted('ports'),
      };
      return [id, usage];
    }),
  );
}

interface Count {
  readonly projectId: string;
  readonly count: number;
}

/** What an image may have as its virtual size under the project's quota; null: no limit. */
export async function storageLeftBytes(db: Executor, project: ProjectRow): Promise<number | null> {
  const limit = project.quota.storageGib;
  if (limit === null) return null;
  const used = (await usageOf(db, [project.id])).get(project.id)?.storageGib ?? 0;
  return Math.max(0, Math.floor((limit - used) * 2 ** 30));
}
