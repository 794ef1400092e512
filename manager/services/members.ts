/** Members of a project by user name: a page over two tables, which the tables' own lists cannot give. */
import type { Member } from '@kvasir/api/resources/project.ts';
import type { Page } from '@kvasir/api/schema.ts';
import { cursorAfter, readCursor } from '../store/cursor.ts';
import type { Executor } from '../store/database.ts';

export async function listMembers(
  db: Executor,
  projectId: string,
  request: {
    readonly sort?: string | undefined;
    readonly limit?: number | undefined;
    readonly cursor?: string | undefined;
  },
): Promise<Page<Member> & { items: Member[] }> {
  const sort = request.sort ?? 'userName';
  const limit = request.limit ?? 100;
  const descending = sort.startsWith('-');
  let query = db
    .selectFrom('projectMembers')
    .innerJoin('users', 'users.id', 'projectMembers.userId')
    .where('projectMembers.projectId', '=', projectId)
    .select(['users.id as userId', 'users.name as userName', 'projectMembers.role as role'])
    .orderBy('users.name', descending ? 'desc' : 'asc')
    .limit(limit + 1);
  if (request.cursor !== undefined) {
    // User names are unique, so the name alone is the position.
    query = query.where('users.name', descending ? '<' : '>', String(readCursor(request.cursor, sort).key));
  }
  const rows = await query.execute();
  const items = rows.slice(0, limit) as Member[];
  const last = rows.length > limit ? items.at(-1) : undefined;
  return { items, nextCursor: last ? cursorAfter(sort, last.userName, last.userName) : null };
}
