/** What a project uses, and the refusal of what would go beyond its quota. Counted in the transaction that adds to it. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Project, Quota } from '@kvasir/api/resources/project.ts';
import { sql } from 'kysely';
import type { Static } from 'typebox';
import type { Executor } from '../store/database.ts';
import type { ProjectRow } from '../store/projects.ts';

export type Usage = Project['used'];
type Limits = Static<typeof Quota>;

const nothing: Usage = { vms: 0, cpus: 0, memoryMib: 0, volumes: 0, storageGib: 0 };
const words = {
  vms: 'virtual machines',
  cpus: 'virtual processors',
  memoryMib: 'memory (MiB)',
  volumes: 'volumes',
  storageGib: 'storage (GiB)',
} as const satisfies Record<keyof Limits, string>;

/** Use of several projects at once. A VM in the trash keeps its volumes, but neither processors nor memory. */
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
  return new Map(
    projectIds.map((id) => {
      const machine = vms.rows.find((row) => row.projectId === id);
      const disk = volumes.rows.find((row) => row.projectId === id);
      const image = images.rows.find((row) => row.projectId === id);
      const usage = {
        vms: Number(machine?.vms ?? 0),
        cpus: Number(machine?.cpus ?? 0),
        memoryMib: Number(machine?.memoryMib ?? 0),
        volumes: Number(disk?.volumes ?? 0),
        storageGib: (Number(disk?.sizeMib ?? 0) + Number(image?.sizeMib ?? 0)) / 1024,
      };
      return [id, usage];
    }),
  );
}

/** @throws quota-exceeded when the project would use more than it may with `asked` on top */
export async function checkQuota(db: Executor, project: ProjectRow, asked: Partial<Usage>): Promise<void> {
  const used = (await usageOf(db, [project.id])).get(project.id) ?? nothing;
  for (const what of Object.keys(words) as (keyof Limits)[]) {
    const limit = project.quota[what];
    const more = asked[what] ?? 0;
    if (limit === null || more <= 0 || used[what] + more <= limit) continue;
    throw new KvasirError('quota-exceeded', { what: words[what], used: used[what], asked: more, limit });
  }
}
