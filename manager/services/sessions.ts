/** Logins and API tokens: who gets a secret, and how it ends. */
import type { apiTokenOperations, sessionOperations } from '@kvasir/api/resources/session.ts';
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import { type ApiTokenRow, apiTokens } from '../store/api-tokens.ts';
import { projects } from '../store/projects.ts';
import { sessions } from '../store/sessions.ts';
import { users } from '../store/users.ts';
import { actorOf, isOperator, roleIn } from './access.ts';
import { sessionIdleMs } from './authentication.ts';
import type { Actor, ChangeService, OpenService, ReadService } from './call.ts';
import { announce, checkName, checkRevision, fresh } from './changes.ts';
import { hashPassword, hashSecret, newSecret, verifyPassword } from './passwords.ts';
import { iso, isoOrNull, versionedView } from './views.ts';

/** @throws wrong-credentials, too-many-requests */
export const logIn: OpenService<typeof sessionOperations.create> = async (call, { body }) => {
  const { clock, ids, logins } = call.env;
  logins.attempt(call.sourceAddress, body.userName);
  const user = await users.find(call.db, { name: body.userName });
  const fits = await verifyPassword(body.password, user?.passwordHash);
  if (user) call.scope.user = { id: user.id, name: user.name };
  if (!user || !fits || user.disabled) throw new KvasirError('wrong-credentials');
  logins.succeeded(call.sourceAddress, body.userName);
  const token = newSecret('kvs');
  const now = clock.now();
  const expiresAt = now + sessionIdleMs;
  const id = ids.uuid();
  await call.change(async ({ tx }) => {
    const row = {
      id,
      userId: user.id,
      tokenHash: hashSecret(token),
      sourceAddress: call.sourceAddress,
      createdAt: now,
      expiresAt,
    };
    // The user may have been changed while the password was checked.
    const current = await users.find(tx, { id: user.id, passwordHash: user.passwordHash, disabled: false });
    if (!current) throw new KvasirError('wrong-credentials');
    await sessions.insert(tx, row);
  });
  return { id, token, expiresAt: iso(expiresAt), user: { id: user.id, name: user.name, systemRole: user.systemRole } };
};

export const whoAmI: ReadService<typeof sessionOperations.current> = async (call) => {
  const actor = actorOf(call);
  const seen = isOperator(actor)
    ? await projects.select(call.db, {}, 'name')
    : (await projects.select(call.db, {}, 'name')).filter((project) => roleIn(actor, project) !== undefined);
  return {
    user: { id: actor.userId, name: actor.userName, systemRole: actor.systemRole },
    expiresAt: isoOrNull(actor.credential.expiresAtMs),
    projects: seen.map((project) => ({ id: project.id, name: project.name, role: roleIn(actor, project) ?? 'viewer' })),
  };
};

/** Whoever has the session alone cannot take the user over, nor try passwords any faster than at the login. @throws wrong-credentials, too-many-requests */
export const changePassword: OpenService<typeof sessionOperations.changePassword> = async (call, { body }) => {
  const { userId, userName, credential } = actorOf(call);
  const { logins, clock } = call.env;
  logins.attempt(call.sourceAddress, userName);
  const user = await users.get(call.db, userId);
  if (!(await verifyPassword(body.currentPassword, user.passwordHash))) throw new KvasirError('wrong-credentials');
  logins.succeeded(call.sourceAddress, userName);
  const passwordHash = await hashPassword(body.newPassword);
  await call.change(async (change) => {
    await users.update(change.tx, userId, { passwordHash }, { now: clock.now(), revision: user.revision });
    const others = (await sessions.select(change.tx, { userId }))
      .map(({ id }) => id)
      .filter((id) => id !== credential.id);
    if (others.length > 0) await sessions.remove(change.tx, { id: others });
    await announce(change, { kind: 'user.password-changed', message: `${userName} changed the own password` });
  });
  return null;
};

/** Ends the session that asks. An API token ends by being revoked. */
export const logOut: ChangeService<typeof sessionOperations.delete> = async (change) => {
  const { credential } = actorOf(change);
  if (credential.kind !== 'session')
    throw new KvasirError('unsupported', { reason: 'This is an API token, not a session: revoke it instead' });
  await sessions.remove(change.tx, { id: credential.id });
  return null;
};

export const listApiTokens: ReadService<typeof apiTokenOperations.list> = async (call, { query }) => {
  const page = await apiTokens.list(call.db, { ...query, where: { userId: actorOf(call).userId } });
  return { ...page, items: page.items.map(apiTokenView) };
};

export const createApiToken: ChangeService<typeof apiTokenOperations.create> = async (change, { body }) => {
  checkName(body.name);
  const { userId, userName, credential } = actorOf(change);
  const secret = newSecret('kvt');
  const row: ApiTokenRow = {
    ...fresh(change),
    name: body.name,
    userId,
    tokenHash: hashSecret(secret),
    expiresAt: tokenEnd(credential, body.lifetimeDays, change.env.clock.now()),
    lastUsedAt: null,
  };
  await apiTokens.insert(change.tx, row);
  await announce(change, { kind: 'apiToken.created', message: `${userName} made the API token ${row.name}` });
  return { apiToken: apiTokenView(row), secret };
};

/** Who found a token that ends must not be able to make it one that does not. @throws invalid-request */
function tokenEnd({ kind, expiresAtMs }: Actor['credential'], days: number | undefined, now: number): number | null {
  const limit = kind === 'api-token' ? expiresAtMs : null;
  if (days === undefined) return limit;
  const end = now + days * 86_400_000;
  if (limit !== null && end > limit) {
    throw invalidField('/body/lifetimeDays', `must not outlive the API token that asks, which ends at ${iso(limit)}`);
  }
  return end;
}

export const revokeApiToken: ChangeService<typeof apiTokenOperations.delete> = async (change, { params }) => {
  const { userId, userName } = actorOf(change);
  const row = await apiTokens.find(change.tx, { id: params.token, userId });
  if (!row) throw new KvasirError('not-found', { kind: apiTokens.kind, id: params.token });
  checkRevision(change, apiTokens.kind, row);
  await apiTokens.remove(change.tx, { id: row.id });
  await announce(change, { kind: 'apiToken.deleted', message: `${userName} revoked the API token ${row.name}` });
  return null;
};

function apiTokenView(row: ApiTokenRow) {
  return {
    ...versionedView(row),
    name: row.name,
    userId: row.userId,
    expiresAt: isoOrNull(row.expiresAt),
    lastUsedAt: isoOrNull(row.lastUsedAt),
  };
}
