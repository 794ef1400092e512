/** Lists that go over projects say which one each row belongs to, by its name; rows themselves have only its id. */
import type { Client } from '@kvasir/api/client.ts';
import { projectOperations } from '@kvasir/api/resources/project.ts';

export interface Listed {
  readonly items: readonly unknown[];
  readonly columns: readonly string[] | undefined;
}

/** `always`: also when all rows are of one project. Rows of a project that is gone show its id. */
export async function withProjects(client: Client, listed: Listed, always: boolean): Promise<Listed> {
  const ids = new Set(listed.items.map(projectIdOf).filter((id) => typeof id === 'string'));
  if (listed.columns === undefined || ids.size === 0 || (ids.size === 1 && !always)) return listed;
  const names = new Map<unknown, string>();
  for await (const { id, name } of client.listAll(projectOperations.list)) names.set(id, name);
  const items = listed.items.map((item) => {
    const id = projectIdOf(item);
    return { ...(item as object), projectName: names.get(id) ?? id };
  });
  const at = listed.columns.findIndex((column) => column === 'name' || column === 'target.name') + 1;
  return { items, columns: listed.columns.toSpliced(at, 0, 'projectName') };
}

function projectIdOf(item: unknown): unknown {
  return (item as { readonly projectId?: unknown }).projectId;
}
