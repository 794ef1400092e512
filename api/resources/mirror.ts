/** A mirror copies the traffic of ports, or of a network as each host sees it, to a port on the same host or to a remote collector. */
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
import { IpAddress } from './network.ts';

const Direction = oneOf(['in', 'out', 'both'] as const, { description: 'Seen from the VM; default both' });
const RemoteKind = oneOf(['gre', 'erspan'] as const);
const Key = Type.Integer({ minimum: 0, maximum: 1023, description: 'GRE key or ERSPAN session' });

export const Mirror = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  sourceNetworkId: nullable(Id),
  sourcePortIds: Type.Array(Id),
  direction: Direction,
  targetPortId: nullable({ ...Id, description: 'Gets copies of what is on its own host' }),
  targetKind: nullable(RemoteKind),
  targetAddress: nullable(IpAddress),
  targetKey: nullable(Key),
});
export type Mirror = Static<typeof Mirror>;

const params = closed({ mirror: NameOrId });

export const mirrorOperations = resource('mirror', {
  list: operation({
    method: 'GET',
    path: '/mirrors',
    summary: 'List mirrors',
    access: 'system.viewer',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name) }),
    response: page(Mirror),
    cli: { columns: ['id', 'name', 'direction', 'targetKind', 'targetAddress', 'targetPortId'] },
  }),
  get: operation({
    method: 'GET',
    path: '/mirrors/{mirror}',
    summary: 'Show a mirror',
    access: 'system.viewer',
    params,
    response: Mirror,
  }),
  create: operation({
    method: 'POST',
    path: '/mirrors',
    summary: 'Copy the traffic of ports or of a network',
    access: 'system.admin',
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      sourceNetwork: Type.Optional({ ...Id, description: 'A network, or …' }),
      sourcePorts: Type.Optional(Type.Array(Id, { maxItems: 256, uniqueItems: true, description: '… these ports' })),
      direction: Type.Optional(Direction),
      targetPort: Type.Optional({ ...Id, description: 'A port, or …' }),
      targetKind: Type.Optional({ ...RemoteKind, description: '… a collector, by this encapsulation' }),
      targetAddress: Type.Optional(IpAddress),
      targetKey: Type.Optional(Key),
    }),
    response: Mirror,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/mirrors/{mirror}',
    summary: 'Rename or describe a mirror, change its direction',
    access: 'system.admin',
    params,
    body: closed({
      name: Type.Optional(Name),
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      direction: Type.Optional(Direction),
    }),
    response: Mirror,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/mirrors/{mirror}',
    summary: 'Stop copying',
    access: 'system.admin',
    params,
    response: noContent,
  }),
});
