/** Members of a project or an organization by user name: a page over two tables, which the tables' own lists cannot give. */
import { cursorAfter, readCursor } from '../store/cursor.ts';
import type { Executor } from '../store/database.ts';

interface MemberOf<R extends string> {
  readonly userId: string;
  readonly userName: string;
  readonly role: R;
}

/** `of`: whose members, e.g. `{ projectId }`. */
export async function listMembers<R extends string>(
  db: Executor,
  of: { readonly projectId: string } | { readonly organizationId: string },
  request: {
    readonly sort?: string | undefined;
    readonly limit?: number | undefined;
    readonly cursor?: string | undefined;
  },
): Promise<{ items: MemberOf<R>[]; nextCursor: string | null }> {
  const sort = request.sort ?? 'userName';
  const limit = request.limit ?? 100;
  const descending = sort.startsWith('-');
  const members =
    'projectId' in of
      ? db.selectFrom('projectMembers').where('projectId', '=', of.projectId).select(['userId', 'role'])
      : db.selectFrom('organizationMembers').where('organizationId', '=', of.organizationId).select(['userId', 'role']);
  let query = db
    .selectFrom(members.as('members'))
    .innerJoin('users', 'users.id', 'members.userId')
    .select(['users.id as userId', 'users.name as userName', 'members.role as role'])
    .orderBy('users.name', descending ? 'desc' : 'asc')
    .limit(limit + 1);
  if (request.cursor !== undefined) {
    // User names are unique, so the name alone is the position.
    query = query.where('users.name', descending ? '<' : '>', String(readCursor(request.cursor, sort).key));
  }
  const rows = await query.execute();
  const items = rows.slice(0, limit) as MemberOf<R>[];
  const last = rows.length > limit ? items.at(-1) : undefined;
  return { items, nextCursor: last ? cursorAfter(sort, last.userName, last.userName) : null };
}
