/**
 * Users. Invariants: somebody enabled is always the system's administrator; a changed password ends the user's logins, and a changed
 * role counts from the next request on.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { userOperations } from '@kvasir/api/resources/user.ts';
import { apiTokens } from '../store/api-tokens.ts';
import type { Tx } from '../store/database.ts';
import { sessions } from '../store/sessions.ts';
import { type UserRow, users } from '../store/users.ts';
import { byNameOrId } from './access.ts';
import type { Call, ChangeService, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { hashPassword } from './passwords.ts';
import { versionedView } from './views.ts';

export const listUsers: ReadService<typeof userOperations.list> = async (call, { query }) => {
  const { name, systemRole, ...paging } = query;
  const page = await users.list(call.db, { sort: 'name', ...paging, where: { name, systemRole } });
  return { ...page, items: page.items.map(userView) };
};

export const getUser: ReadService<typeof userOperations.get> = async (call, { params }) =>
  userView(await findUser(call, params.user));

export const createUser: OpenService<typeof userOperations.create> = async (call, { body }) => {
  checkName(body.name);
  const passwordHash = await hashPassword(body.password);
  return call.change(async (change) => {
    const row: UserRow = {
      ...fresh(change),
      name: body.name,
      description: body.description ?? '',
      systemRole: body.systemRole ?? 'none',
      disabled: false,
      passwordHash,
    };
    await users.insert(change.tx, row);
    await announceLife(change, 'created', users.kind, row);
    return userView(row);
  });
};

export const updateUser: OpenService<typeof userOperations.update> = async (call, { params, body }) => {
  const { password, ...plain } = body;
  const passwordHash = password === undefined ? undefined : await hashPassword(password);
  return call.change(async (change) => {
    const row = await findUser(change, params.user);
    const changed = await updateRow(change, users, row, {
      ...plain,
      ...(passwordHash === undefined ? {} : { passwordHash }),
    });
    await refuseWithoutAdministrator(change.tx);
    if (passwordHash !== undefined || changed.disabled) await sessions.remove(change.tx, { userId: row.id });
    if (changed.disabled) await apiTokens.remove(change.tx, { userId: row.id });
    return userView(changed);
  });
};

export const deleteUser: ChangeService<typeof userOperations.delete> = async (change, { params }) => {
  const row = await findUser(change, params.user);
  checkRevision(change, users.kind, row);
  await users.remove(change.tx, { id: row.id });
  await refuseWithoutAdministrator(change.tx);
  await announceLife(change, 'deleted', users.kind, row);
  return null;
};

/** @throws not-found */
export async function findUser(call: Call, nameOrId: string): Promise<UserRow> {
  const row = await users.find(call.db, byNameOrId(nameOrId));
  if (!row) throw new KvasirError('not-found', { kind: users.kind, id: nameOrId });
  return row;
}

async function refuseWithoutAdministrator(tx: Tx): Promise<void> {
  if ((await users.count(tx, { systemRole: 'admin', disabled: false })) === 0) {
    throw new KvasirError('unsupported', { reason: 'The system would have no administrator left' });
  }
}

function userView(row: UserRow) {
  const { name, description, systemRole, disabled } = row;
  return { ...versionedView(row), name, description, systemRole, disabled };
}
