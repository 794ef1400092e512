/**
 * From a bearer secret to an actor. Owns the lifetimes: a session slides, an hour without use ends it, a day ends it anyway;
 * an API token lives as long as it was given. Use is noted at most once a minute, so that reading stays reading.
 */
import { apiTokens } from '../store/api-tokens.ts';
import type { Executor } from '../store/database.ts';
import { organizationMembers } from '../store/organizations.ts';
import { projectMembers } from '../store/projects.ts';
import { sessions } from '../store/sessions.ts';
import { users } from '../store/users.ts';
import type { Actor, Environment } from './call.ts';
import { hashSecret } from './passwords.ts';

export const sessionIdleMs = 3_600_000;
export const sessionLifetimeMs = 86_400_000;
const noteUseEveryMs = 60_000;

type Credential = Actor['credential'] & { readonly userId: string };

/** The actor whose secret this is; undefined when it is unknown, expired, revoked, or its user disabled. */
export async function authenticate(env: Environment, secret: string | undefined): Promise<Actor | undefined> {
  if (secret === undefined) return undefined;
  const tokenHash = hashSecret(secret);
  const credential = secret.startsWith('kvt_') ? await apiToken(env, tokenHash) : await session(env, tokenHash);
  return credential && (await actor(env.store.db, credential));
}

async function session(env: Environment, tokenHash: string): Promise<Credential | undefined> {
  const now = env.clock.now();
  const row = await sessions.find(env.store.db, { tokenHash });
  if (!row || row.expiresAt <= now) return undefined;
  const extended = Math.min(now + sessionIdleMs, row.createdAt + sessionLifetimeMs);
  if (extended - row.expiresAt >= noteUseEveryMs) {
    await env.store.transaction((tx) => sessions.set(tx, { id: row.id }, { expiresAt: extended }));
  }
  return { kind: 'session', id: row.id, expiresAtMs: Math.max(row.expiresAt, extended), userId: row.userId };
}

async function apiToken(env: Environment, tokenHash: string): Promise<Credential | undefined> {
  const now = env.clock.now();
  const row = await apiTokens.find(env.store.db, { tokenHash });
  if (!row || (row.expiresAt !== null && row.expiresAt <= now)) return undefined;
  if (now - (row.lastUsedAt ?? 0) >= noteUseEveryMs) {
    await env.store.transaction((tx) => apiTokens.set(tx, { id: row.id }, { lastUsedAt: now }));
  }
  return { kind: 'api-token', id: row.id, expiresAtMs: row.expiresAt, userId: row.userId };
}

async function actor(db: Executor, { userId, ...credential }: Credential): Promise<Actor | undefined> {
  const user = await users.find(db, { id: userId });
  if (!user || user.disabled) return undefined;
  const roles = await projectMembers.select(db, { userId });
  const administered = await organizationMembers.select(db, { userId });
  return {
    userId,
    userName: user.name,
    systemRole: user.systemRole,
    credential,
    projectRoles: new Map(roles.map(({ projectId, role }) => [projectId, role])),
    organizationIds: new Set(administered.map(({ organizationId }) => organizationId)),
  };
}
