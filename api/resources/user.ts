/** People and programs that log in. A user's rights: one role on the system, and one in each project or organization. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Description, listQuery, Name, NameOrId, oneOf, page } from '../schema.ts';

export const SystemRole = oneOf(['none', 'viewer', 'admin'] as const, {
  description: "The operator's role on the whole system",
});
export const Password = Type.String({
  minLength: 8,
  maxLength: 256,
  description: 'At least 8 characters; stored as argon2id',
});

export const User = closed({
  ...common,
  name: Name,
  description: Description,
  systemRole: SystemRole,
  disabled: Type.Boolean(),
});
export type User = Static<typeof User>;

const params = closed({ user: NameOrId });

export const userOperations = resource('user', {
  list: operation({
    method: 'GET',
    path: '/users',
    summary: 'List users',
    access: 'system.viewer',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name), systemRole: Type.Optional(SystemRole) }),
    response: page(User),
    cli: { columns: ['id', 'name', 'systemRole', 'disabled'] },
  }),
  get: operation({
    method: 'GET',
    path: '/users/{user}',
    summary: 'Show a user',
    access: 'system.viewer',
    params,
    response: User,
  }),
  create: operation({
    method: 'POST',
    path: '/users',
    summary: 'Create a user',
    access: 'system.admin',
    body: closed({
      name: Name,
      password: Password,
      description: Type.Optional(Description),
      systemRole: Type.Optional(SystemRole),
    }),
    response: User,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/users/{user}',
    summary: "Change a user's description, role or password, or disable the user",
    access: 'system.admin',
    params,
    body: closed({
      description: Type.Optional(Description),
      systemRole: Type.Optional(SystemRole),
      password: Type.Optional(Password),
      disabled: Type.Optional(Type.Boolean()),
    }),
    response: User,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/users/{user}',
    summary: 'Delete a user and end its sessions',
    access: 'system.admin',
    params,
    response: noContent,
  }),
});
