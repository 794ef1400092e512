/**
 * A network connects NICs. For now every network is one flat segment on each host's integration bridge; `kind` is the
 * place where VLAN and VXLAN networks of the distributed switch come in.
 */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import {
  closed,
  common,
  Description,
  Id,
  Labels,
  listQuery,
  Name,
  NameOrId,
  oneOf,
  page,
  projectQuery,
} from '../schema.ts';

export const Network = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  shared: Type.Boolean({ description: 'true: every project may attach NICs' }),
  kind: oneOf(['flat'] as const),
  mtu: Type.Integer(),
  ports: Type.Integer({ description: 'NICs attached' }),
});
export type Network = Static<typeof Network>;

const params = closed({ network: NameOrId });
const query = closed({ ...projectQuery });

export const networkOperations = resource('network', {
  list: operation({
    method: 'GET',
    path: '/networks',
    summary: "List the project's networks and the shared ones",
    access: 'project.viewer',
    query: listQuery(['name', 'createdAt'], {
      ...projectQuery,
      name: Type.Optional(Name),
      shared: Type.Optional(Type.Boolean()),
    }),
    response: page(Network),
    cli: { columns: ['id', 'name', 'kind', 'shared', 'mtu', 'ports'] },
  }),
  get: operation({
    method: 'GET',
    path: '/networks/{network}',
    summary: 'Show a network',
    access: 'project.viewer',
    params,
    query,
    response: Network,
  }),
  create: operation({
    method: 'POST',
    path: '/networks',
    summary: 'Create a flat network',
    access: 'system.admin',
    query,
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      shared: Type.Optional(Type.Boolean()),
      mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 9216 })),
    }),
    response: Network,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/networks/{network}',
    summary: 'Rename, describe or label a network, or share it',
    access: 'system.admin',
    params,
    query,
    body: closed({
      name: Type.Optional(Name),
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      shared: Type.Optional(Type.Boolean()),
    }),
    response: Network,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/networks/{network}',
    summary: 'Delete a network without ports',
    access: 'system.admin',
    params,
    query,
    response: noContent,
  }),
});
