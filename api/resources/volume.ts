/** A volume is a virtual disk in a pool, attached to at most one VM. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
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
  projectQuery,
} from '../schema.ts';
import { Task } from './task.ts';

export const VolumeState = oneOf(['creating', 'ready', 'failed', 'deleting'] as const);
export const SizeGib = Type.Number({
  exclusiveMinimum: 0,
  maximum: 65_536,
  multipleOf: 0.0009765625,
  description: 'GiB, in steps of 1 MiB',
});

export const Volume = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  poolId: Id,
  hostId: nullable({ ...Id, description: 'Where a volume of a local pool lies; null in a shared pool or for tenants' }),
  state: VolumeState,
  format: oneOf(['qcow2', 'raw'] as const),
  sizeGib: Type.Number(),
  imageId: nullable({ ...Id, description: 'Image it was made from' }),
  linked: Type.Boolean({ description: "true: stands on the image's file" }),
  vmId: nullable(Id),
  taskId: nullable(Id),
});
export type Volume = Static<typeof Volume>;

const params = closed({ volume: NameOrId });
const query = closed({ ...projectQuery });

export const volumeOperations = resource('volume', {
  list: operation({
    method: 'GET',
    path: '/volumes',
    summary: "List a project's volumes",
    access: 'project.viewer',
    query: listQuery(['name', 'createdAt', 'sizeGib'], {
      ...projectQuery,
      name: Type.Optional(Name),
      state: Type.Optional(VolumeState),
      pool: Type.Optional(NameOrId),
      vm: Type.Optional(NameOrId),
    }),
    response: page(Volume),
    cli: { columns: ['id', 'name', 'state', 'sizeGib', 'format', 'vmId'] },
  }),
  get: operation({
    method: 'GET',
    path: '/volumes/{volume}',
    summary: 'Show a volume',
    access: 'project.viewer',
    params,
    query,
    response: Volume,
  }),
  create: operation({
    method: 'POST',
    path: '/volumes',
    summary: 'Create an empty volume, or one from an image',
    access: 'project.member',
    task: 'volume-create',
    query,
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      pool: Type.Optional(NameOrId),
      host: Type.Optional({ ...NameOrId, description: 'For a local pool' }),
      sizeGib: Type.Optional(SizeGib),
      format: Type.Optional(oneOf(['qcow2', 'raw'] as const)),
      image: Type.Optional(NameOrId),
      clone: Type.Optional(oneOf(['linked', 'full'] as const)),
    }),
    response: Task,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/volumes/{volume}',
    summary: 'Rename, describe or label a volume',
    access: 'project.member',
    params,
    query,
    body: closed({ name: Type.Optional(Name), description: Type.Optional(Description), labels: Type.Optional(Labels) }),
    response: Volume,
  }),
  resize: operation({
    method: 'POST',
    path: '/volumes/{volume}/resize',
    summary: 'Grow a volume, also under a running VM',
    access: 'project.member',
    task: 'volume-resize',
    params,
    query,
    body: closed({ sizeGib: SizeGib }),
    response: Task,
    cli: { positional: 'sizeGib' },
  }),
  delete: operation({
    method: 'DELETE',
    path: '/volumes/{volume}',
    summary: 'Delete a volume that is attached to no VM',
    access: 'project.member',
    task: 'volume-delete',
    params,
    query,
    response: Task,
  }),
});
