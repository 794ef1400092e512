/** The audit trail: written by the API for every request that is not a read, listed for operators. */
import type { auditOperations } from '@kvasir/api/resources/event.ts';
import { type AuditRow, audit } from '../store/audit.ts';
import type { Tx } from '../store/database.ts';
import { users } from '../store/users.ts';
import { byNameOrId } from './access.ts';
import type { Environment, ReadService } from './call.ts';
import { iso } from './views.ts';

export async function recordAudit(tx: Tx, env: Environment, entry: Omit<AuditRow, 'id' | 'at'>): Promise<void> {
  await audit.insert(tx, { id: env.ids.uuid(), at: env.clock.now(), ...entry });
}

/** The newest first, unless asked otherwise. */
export const listAudit: ReadService<typeof auditOperations.list> = async (call, { query }) => {
  const { user, operation, ...paging } = query;
  const found = user === undefined ? undefined : await users.find(call.db, byNameOrId(user));
  if (user !== undefined && !found) return { items: [], nextCursor: null };
  const page = await audit.list(call.db, { sort: '-at', ...paging, where: { userId: found?.id, operation } });
  return { ...page, items: page.items.map((row) => ({ ...row, at: iso(row.at) })) };
};
