/** A pool is a place for volumes and images: a directory, local to each host or shared by all hosts of the cluster. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Description, Id, listQuery, Name, NameOrId, nullable, oneOf, page } from '../schema.ts';

export const PoolState = oneOf(['ready', 'degraded', 'unavailable'] as const, {
  description: 'ready: all hosts that are up reach it; degraded: some do; unavailable: none does',
});

export const Pool = closed({
  ...common,
  name: Name,
  description: Description,
  clusterId: Id,
  kind: oneOf(['directory'] as const),
  path: Type.String({ maxLength: 1024 }),
  shared: Type.Boolean({
    description: 'true: the same directory on every host (NFS, a cluster file system); false: one on each host',
  }),
  state: PoolState,
  totalMib: nullable(Type.Integer()),
  freeMib: nullable(Type.Integer()),
  hosts: Type.Array(
    closed({
      hostId: Id,
      reachable: Type.Boolean(),
      reason: nullable(Type.String()),
      totalMib: nullable(Type.Integer()),
      freeMib: nullable(Type.Integer()),
    }),
  ),
});
export type Pool = Static<typeof Pool>;

const params = closed({ pool: NameOrId });

export const poolOperations = resource('pool', {
  list: operation({
    method: 'GET',
    path: '/pools',
    summary: 'List storage pools',
    access: 'session',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name), cluster: Type.Optional(NameOrId) }),
    response: page(Pool),
    cli: { columns: ['name', 'kind', 'shared', 'state', 'totalMib', 'freeMib', 'path'] },
  }),
  get: operation({
    method: 'GET',
    path: '/pools/{pool}',
    summary: 'Show a storage pool',
    access: 'session',
    params,
    response: Pool,
  }),
  create: operation({
    method: 'POST',
    path: '/pools',
    summary: 'Create a storage pool on all hosts of a cluster',
    access: 'system.admin',
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      cluster: Type.Optional(NameOrId),
      path: Type.String({ pattern: '^/[A-Za-z0-9._/-]+$', maxLength: 1024, description: 'Absolute path on each host' }),
      shared: Type.Boolean(),
    }),
    response: Pool,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/pools/{pool}',
    summary: 'Rename or describe a storage pool',
    access: 'system.admin',
    params,
    body: closed({ name: Type.Optional(Name), description: Type.Optional(Description) }),
    response: Pool,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/pools/{pool}',
    summary: 'Forget an empty storage pool; the directory stays',
    access: 'system.admin',
    params,
    response: noContent,
  }),
});
