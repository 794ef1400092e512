/**
 * A router connects VXLAN networks of a project with each other, on every host itself, and by a gateway host with an external
 * network: everybody by one address (SNAT), or one port by a floating address.
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
  MacAddress,
  Name,
  NameOrId,
  nullable,
  oneOf,
  page,
  projectQuery,
} from '../schema.ts';
import { IpAddress } from './network.ts';

export const RouterInterface = closed({
  networkId: Id,
  networkName: Name,
  family: oneOf(['ipv4', 'ipv6'] as const),
  address: IpAddress,
  prefixLength: Type.Integer(),
});

export const Router = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  macAddress: MacAddress,
  interfaces: Type.Array(RouterInterface),
  externalNetworkId: nullable(Id),
  externalAddress: nullable({ ...IpAddress, description: 'What its networks look like from outside' }),
  snat: Type.Boolean({ description: 'false: addresses inside are routed as they are, but for floating ones' }),
  gatewayHostName: nullable({ ...Name, description: 'The host that translates now; null for tenants' }),
  ready: Type.Boolean({ description: 'No way out is wanted, or a host serves it' }),
});
export type Router = Static<typeof Router>;

const params = closed({ router: NameOrId });
const query = closed({ ...projectQuery });
const access = 'project.member' as const;

export const routerOperations = resource('router', {
  list: operation({
    method: 'GET',
    path: '/routers',
    summary: "List a project's routers",
    access: 'project.viewer',
    query: listQuery(['name', 'createdAt'], { ...projectQuery, name: Type.Optional(Name) }),
    response: page(Router),
    cli: { columns: ['id', 'name', 'externalAddress', 'snat', 'gatewayHostName'] },
  }),
  get: operation({
    method: 'GET',
    path: '/routers/{router}',
    summary: 'Show a router',
    access: 'project.viewer',
    params,
    query,
    response: Router,
  }),
  create: operation({
    method: 'POST',
    path: '/routers',
    summary: 'Create a router',
    access,
    query,
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      externalNetwork: Type.Optional({ ...NameOrId, description: 'The way out' }),
      snat: Type.Optional(Type.Boolean({ description: 'Default true; false is for operators' })),
    }),
    response: Router,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/routers/{router}',
    summary: 'Rename or describe a router, give it a way out or take it',
    access,
    params,
    query,
    body: closed({
      name: Type.Optional(Name),
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      externalNetwork: Type.Optional(nullable(NameOrId)),
      snat: Type.Optional(Type.Boolean()),
    }),
    response: Router,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/routers/{router}',
    summary: 'Delete a router that no floating address needs',
    access,
    params,
    query,
    response: noContent,
  }),
  addInterface: operation({
    method: 'POST',
    path: '/routers/{router}/interfaces',
    summary: "Connect a VXLAN network, by its subnets' gateway addresses unless told otherwise",
    access,
    params,
    query,
    body: closed({
      network: NameOrId,
      address: Type.Optional({ ...IpAddress, description: 'Only the subnet of its family is connected' }),
    }),
    response: Router,
    cli: { positional: 'network' },
  }),
  removeInterface: operation({
    method: 'DELETE',
    path: '/routers/{router}/interfaces/{network}',
    summary: 'Disconnect a network',
    access,
    params: closed({ router: NameOrId, network: NameOrId }),
    query,
    response: noContent,
  }),
});
