/** An uplink connects one host to a distributed switch: a NIC of the host, or a bond of several. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Id, listQuery, Name, NameOrId, nullable, oneOf, page } from '../schema.ts';
import { BondMode } from './switch.ts';

export const InterfaceName = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$', maxLength: 15 });

export const UplinkState = closed({
  up: Type.Boolean(),
  lacp: nullable(oneOf(['negotiated', 'configured', 'off'] as const, { description: 'null: no LACP' })),
  members: Type.Array(
    closed({
      nic: Type.String(),
      active: Type.Boolean({ description: 'Carries traffic now' }),
      up: Type.Boolean(),
      lacp: nullable(Type.String({ description: 'State of this link, e.g. current, defaulted, expired' })),
    }),
  ),
  reason: nullable(Type.String({ description: 'What stands against it' })),
});

export const Uplink = closed({
  ...common,
  name: Name,
  switchId: Id,
  switchName: Name,
  hostId: Id,
  hostName: Name,
  nics: Type.Array(InterfaceName),
  bond: nullable({ ...BondMode, description: 'null: a single NIC' }),
  lacpFast: Type.Boolean({ description: 'LACP messages each second instead of each 30' }),
  state: nullable({ ...UplinkState, description: 'As the host reported it last' }),
});
export type Uplink = Static<typeof Uplink>;

const params = closed({ uplink: NameOrId });
const Nics = Type.Array(InterfaceName, {
  minItems: 1,
  maxItems: 8,
  uniqueItems: true,
  description: 'Network devices of the host; two and more are a bond',
});

export const uplinkOperations = resource('uplink', {
  list: operation({
    method: 'GET',
    path: '/uplinks',
    summary: 'List uplinks and how they are',
    access: 'system.viewer',
    query: listQuery(['name', 'createdAt'], {
      name: Type.Optional(Name),
      switch: Type.Optional(NameOrId),
      host: Type.Optional(NameOrId),
    }),
    response: page(Uplink),
    cli: { columns: ['name', 'switchName', 'hostName', 'nics', 'bond', 'state.up', 'state.lacp'] },
  }),
  get: operation({
    method: 'GET',
    path: '/uplinks/{uplink}',
    summary: 'Show an uplink',
    access: 'system.viewer',
    params,
    response: Uplink,
  }),
  create: operation({
    method: 'POST',
    path: '/uplinks',
    summary: 'Connect a host to a distributed switch',
    access: 'system.admin',
    body: closed({
      switch: NameOrId,
      host: NameOrId,
      nics: Nics,
      name: Type.Optional({ ...Name, description: 'Default: SWITCH-HOST' }),
      bond: Type.Optional({ ...BondMode, description: 'With several NICs; default: what the switch says' }),
      lacpFast: Type.Optional(Type.Boolean()),
    }),
    response: Uplink,
  }),
  update: operation({
    method: 'PATCH',
    path: '/uplinks/{uplink}',
    summary: 'Change the NICs of an uplink or how they are bonded',
    access: 'system.admin',
    params,
    body: closed({
      name: Type.Optional(Name),
      nics: Type.Optional(Nics),
      bond: Type.Optional(BondMode),
      lacpFast: Type.Optional(Type.Boolean()),
    }),
    response: Uplink,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/uplinks/{uplink}',
    summary: 'Disconnect a host from a distributed switch',
    access: 'system.admin',
    params,
    response: noContent,
  }),
});
