/** Sessions (a login, short-lived) and API tokens (for programs, revocable). Secrets appear once, in the answer that makes them. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Id, listQuery, Name, nullable, page, Timestamp } from '../schema.ts';
import { Password, SystemRole } from './user.ts';

export const Session = closed({
  id: Id,
  token: Type.String({ description: 'Bearer token, shown only here' }),
  expiresAt: Timestamp,
  user: closed({ id: Id, name: Name, systemRole: SystemRole }),
});
export type Session = Static<typeof Session>;

export const WhoAmI = closed({
  user: closed({ id: Id, name: Name, systemRole: SystemRole }),
  expiresAt: nullable(Timestamp),
  projects: Type.Array(closed({ id: Id, name: Name, role: Type.String() })),
});

export const ApiToken = closed({
  ...common,
  name: Name,
  userId: Id,
  expiresAt: nullable(Timestamp),
  lastUsedAt: nullable(Timestamp),
});
export type ApiToken = Static<typeof ApiToken>;

const token = closed({ token: Id });

export const sessionOperations = resource('session', {
  create: operation({
    method: 'POST',
    path: '/sessions',
    summary: 'Log in with a user name and a password',
    access: 'public',
    body: closed({ userName: Name, password: Type.String({ minLength: 1, maxLength: 256 }) }),
    response: Session,
    idempotent: false,
    cli: { hidden: true },
  }),
  current: operation({
    method: 'GET',
    path: '/sessions/current',
    summary: 'Show who is logged in, and with which roles',
    access: 'session',
    response: WhoAmI,
    cli: { name: 'show' },
  }),
  delete: operation({
    method: 'DELETE',
    path: '/sessions/current',
    summary: 'Log out: end this session',
    access: 'session',
    response: noContent,
    cli: { name: 'end' },
  }),
  changePassword: operation({
    method: 'PUT',
    path: '/sessions/current/password',
    summary: "Change one's own password; all other sessions end",
    access: 'session',
    body: closed({ currentPassword: Type.String({ minLength: 1, maxLength: 256 }), newPassword: Password }),
    response: noContent,
    cli: { name: 'change-password' },
  }),
});

export const apiTokenOperations = resource('apiToken', {
  list: operation({
    method: 'GET',
    path: '/api-tokens',
    summary: "List one's own API tokens",
    access: 'session',
    query: listQuery(['name', 'createdAt'], {}),
    response: page(ApiToken),
    cli: { columns: ['id', 'name', 'expiresAt', 'lastUsedAt'] },
  }),
  create: operation({
    method: 'POST',
    path: '/api-tokens',
    summary: 'Make an API token; its secret is shown only once',
    access: 'session',
    body: closed({
      name: Name,
      lifetimeDays: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 3650,
          description: 'Left out: it does not end; made with another API token, it ends with that one at the latest',
        }),
      ),
    }),
    response: closed({ apiToken: ApiToken, secret: Type.String() }),
    idempotent: false,
    cli: { positional: 'name' },
  }),
  delete: operation({
    method: 'DELETE',
    path: '/api-tokens/{token}',
    summary: 'Revoke an API token',
    access: 'session',
    params: token,
    response: noContent,
  }),
});
