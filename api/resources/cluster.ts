/** A cluster groups hosts that share networks and pools; VMs are placed within one. `default` exists from the first start. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Description, listQuery, Name, NameOrId, oneOf, page } from '../schema.ts';
import { HaPolicy, HaPolicyChange } from './ha-policy.ts';

export const PlacementPolicy = oneOf(['spread', 'pack'] as const, {
  description: 'spread: the emptiest host first; pack: the fullest that fits',
});

export const Cluster = closed({
  ...common,
  name: Name,
  description: Description,
  placementPolicy: PlacementPolicy,
  cpuOvercommit: Type.Number({ minimum: 1, maximum: 64, description: 'Virtual processors for each physical one' }),
  memoryOvercommit: Type.Number({ minimum: 1, maximum: 4, description: '1: memory is never overcommitted' }),
  memoryReservedMib: Type.Integer({
    minimum: 0,
    maximum: 1_048_576,
    description: 'Kept free on each host for the host itself, MiB',
  }),
  ha: HaPolicy,
});
export type Cluster = Static<typeof Cluster>;

const params = closed({ cluster: NameOrId });
const settings = {
  description: Type.Optional(Description),
  placementPolicy: Type.Optional(PlacementPolicy),
  cpuOvercommit: Type.Optional(Cluster.properties.cpuOvercommit),
  memoryOvercommit: Type.Optional(Cluster.properties.memoryOvercommit),
  memoryReservedMib: Type.Optional(Cluster.properties.memoryReservedMib),
  ha: Type.Optional(HaPolicyChange),
};

export const clusterOperations = resource('cluster', {
  list: operation({
    method: 'GET',
    path: '/clusters',
    summary: 'List clusters',
    access: 'system.viewer',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name) }),
    response: page(Cluster),
    cli: { columns: ['id', 'name', 'placementPolicy', 'cpuOvercommit', 'memoryOvercommit'] },
  }),
  get: operation({
    method: 'GET',
    path: '/clusters/{cluster}',
    summary: 'Show a cluster',
    access: 'system.viewer',
    params,
    response: Cluster,
  }),
  create: operation({
    method: 'POST',
    path: '/clusters',
    summary: 'Create a cluster',
    access: 'system.admin',
    body: closed({ name: Name, ...settings }),
    response: Cluster,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/clusters/{cluster}',
    summary: 'Rename a cluster or change its policies',
    access: 'system.admin',
    params,
    body: closed({ name: Type.Optional(Name), ...settings }),
    response: Cluster,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/clusters/{cluster}',
    summary: 'Delete a cluster without hosts',
    access: 'system.admin',
    params,
    response: noContent,
  }),
});
