/**
 * A distributed switch is one logical switch over several hosts. Hosts take part in it by an uplink; flat and VLAN networks
 * are segments of it. VXLAN networks need none: they run over the hosts' tunnel addresses.
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
  nullable,
  oneOf,
  page,
} from '../schema.ts';

export const BondMode = oneOf(['active-backup', 'balance-slb', 'lacp'] as const);
export const UnderlayMtu = Type.Integer({ minimum: 576, maximum: 9216, description: 'Of the physical network' });

export const Switch = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  clusterId: nullable({ ...Id, description: 'All hosts of this cluster; null: those listed' }),
  hostIds: Type.Array(Id),
  defaultBond: BondMode,
  mtu: UnderlayMtu,
  networks: Type.Integer({ description: 'Networks on it' }),
  uplinks: Type.Integer({ description: 'Hosts with an uplink' }),
});
export type Switch = Static<typeof Switch>;

const params = closed({ switch: NameOrId });
const settings = {
  description: Type.Optional(Description),
  labels: Type.Optional(Labels),
  hosts: Type.Optional(
    Type.Array(NameOrId, { maxItems: 2000, description: 'Exactly these hosts, instead of a whole cluster' }),
  ),
  defaultBond: Type.Optional({ ...BondMode, description: 'Of uplinks with several NICs; default active-backup' }),
  mtu: Type.Optional(UnderlayMtu),
};

export const switchOperations = resource('switch', {
  list: operation({
    method: 'GET',
    path: '/switches',
    summary: 'List distributed switches',
    access: 'system.viewer',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name) }),
    response: page(Switch),
    cli: { columns: ['id', 'name', 'mtu', 'defaultBond', 'networks', 'uplinks'] },
  }),
  get: operation({
    method: 'GET',
    path: '/switches/{switch}',
    summary: 'Show a distributed switch',
    access: 'system.viewer',
    params,
    response: Switch,
  }),
  create: operation({
    method: 'POST',
    path: '/switches',
    summary: 'Create a distributed switch',
    access: 'system.admin',
    body: closed({
      name: Name,
      cluster: Type.Optional({ ...NameOrId, description: 'All its hosts; default: the only cluster there is' }),
      ...settings,
    }),
    response: Switch,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/switches/{switch}',
    summary: 'Rename or describe a distributed switch, change its hosts or its MTU',
    access: 'system.admin',
    params,
    body: closed({ name: Type.Optional(Name), ...settings }),
    response: Switch,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/switches/{switch}',
    summary: 'Delete a distributed switch without networks, with its uplinks',
    access: 'system.admin',
    params,
    response: noContent,
  }),
});
