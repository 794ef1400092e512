/** A floating address is an address of an external network that a project holds and lets lead to one of its ports. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import {
  closed,
  common,
  Description,
  Id,
  Labels,
  listQuery,
  NameOrId,
  nullable,
  page,
  projectQuery,
} from '../schema.ts';
import { IpAddress } from './network.ts';

export const FloatingAddress = closed({
  ...common,
  address: IpAddress,
  description: Description,
  labels: Labels,
  projectId: Id,
  networkId: { ...Id, description: 'The external network' },
  portId: nullable({ ...Id, description: 'null: it leads nowhere' }),
  fixedAddress: nullable({ ...IpAddress, description: 'Of that port' }),
  routerId: nullable({ ...Id, description: 'The router that translates' }),
});
export type FloatingAddress = Static<typeof FloatingAddress>;

const FloatingId = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$',
  maxLength: 63,
  description: 'Address or id',
});
const params = closed({ floatingAddress: FloatingId });
const query = closed({ ...projectQuery });
const access = 'project.member' as const;

export const floatingAddressOperations = resource('floatingAddress', {
  list: operation({
    method: 'GET',
    path: '/floating-addresses',
    summary: "List a project's floating addresses",
    access: 'project.viewer',
    query: listQuery(['createdAt'], { ...projectQuery, address: Type.Optional(IpAddress) }),
    response: page(FloatingAddress),
    cli: { columns: ['id', 'address', 'fixedAddress', 'portId'] },
  }),
  get: operation({
    method: 'GET',
    path: '/floating-addresses/{floatingAddress}',
    summary: 'Show a floating address',
    access: 'project.viewer',
    params,
    query,
    response: FloatingAddress,
  }),
  create: operation({
    method: 'POST',
    path: '/floating-addresses',
    summary: 'Take an address of an external network',
    access,
    query,
    body: closed({
      network: { ...NameOrId, description: 'External network' },
      address: Type.Optional({ ...IpAddress, description: 'Default: a free one' }),
      port: Type.Optional({ ...Id, description: 'Lead to this port at once' }),
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
    }),
    response: FloatingAddress,
    cli: { positional: 'network' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/floating-addresses/{floatingAddress}',
    summary: 'Let a floating address lead to a port, or nowhere',
    access,
    params,
    query,
    body: closed({
      port: Type.Optional(nullable(Id)),
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
    }),
    response: FloatingAddress,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/floating-addresses/{floatingAddress}',
    summary: 'Give a floating address back',
    access,
    params,
    query,
    response: noContent,
  }),
});
