/** The refusal of what would go beyond a project's quota, in the transaction that adds to its use. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Quota } from '@kvasir/api/resources/project.ts';
import type { Static } from 'typebox';
import type { Executor } from '../store/database.ts';
import type { ProjectRow } from '../store/projects.ts';
import { type Usage, usageOf } from '../store/usage.ts';

type Limits = Static<typeof Quota>;

const words = {
  vms: 'virtual machines',
  cpus: 'virtual processors',
  memoryMib: 'memory (MiB)',
  volumes: 'volumes',
  storageGib: 'storage (GiB)',
  networks: 'networks',
  securityGroups: 'security groups',
  routers: 'routers',
  floatingAddresses: 'floating addresses',
  ports: 'ports',
} as const satisfies Record<keyof Limits, string>;

/** @throws quota-exceeded when the project would use more than it may with `asked` on top */
export async function checkQuota(db: Executor, project: ProjectRow, asked: Partial<Usage>): Promise<void> {
  const limited = (Object.keys(words) as (keyof Limits)[]).filter(
    (what) => project.quota[what] !== null && (asked[what] ?? 0) > 0,
  );
  // To count what a project uses costs the more, the more it has.
  if (limited.length === 0) return;
  const used = (await usageOf(db, [project.id])).get(project.id)!;
  for (const what of limited) {
    const limit = project.quota[what];
    const more = asked[what] ?? 0;
    if (limit === null || used[what] + more <= limit) continue;
    throw new KvasirError('quota-exceeded', { what: words[what], used: used[what], asked: more, limit });
  }
}
