/** An image is a disk that VMs are made from: uploaded or imported, inspected, checksummed, never changed afterwards. */
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

export const ImageState = oneOf(['uploading', 'importing', 'ready', 'failed', 'deleting'] as const);

export const Image = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  public: Type.Boolean({ description: 'true: every project may make VMs from it' }),
  state: ImageState,
  format: nullable(oneOf(['qcow2', 'raw'] as const)),
  virtualSizeMib: nullable(Type.Integer({ description: 'Size of the disk as a guest sees it, rounded up' })),
  sizeBytes: nullable(Type.Integer({ description: 'Size of the file' })),
  sha256: nullable(Type.String()),
  poolIds: Type.Array(Id, { description: 'Pools that hold a copy' }),
  taskId: nullable(Id),
});
export type Image = Static<typeof Image>;

const params = closed({ image: NameOrId });
const query = closed({ ...projectQuery });

export const imageOperations = resource('image', {
  list: operation({
    method: 'GET',
    path: '/images',
    summary: "List the project's images and the public ones",
    access: 'project.viewer',
    query: listQuery(['name', 'createdAt'], {
      ...projectQuery,
      name: Type.Optional(Name),
      state: Type.Optional(ImageState),
      public: Type.Optional(Type.Boolean()),
    }),
    response: page(Image),
    cli: { columns: ['id', 'name', 'state', 'format', 'virtualSizeMib', 'public'] },
  }),
  get: operation({
    method: 'GET',
    path: '/images/{image}',
    summary: 'Show an image',
    access: 'project.viewer',
    params,
    query,
    response: Image,
  }),
  import: operation({
    method: 'POST',
    path: '/images/import',
    summary: "Import an image from a file in a pool's import folder",
    access: 'system.admin',
    task: 'image-import',
    query,
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      public: Type.Optional(Type.Boolean()),
      pool: NameOrId,
      host: Type.Optional({ ...NameOrId, description: 'Host whose copy of a local pool has the file' }),
      file: Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$',
        description: "File in the pool's folder `import`",
      }),
    }),
    response: Task,
    cli: { positional: 'name' },
  }),
  upload: operation({
    method: 'POST',
    path: '/images/upload',
    summary: 'Announce an upload; the content follows by the tus protocol at the address that comes back',
    access: 'project.member',
    query,
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      public: Type.Optional(Type.Boolean()),
      pool: NameOrId,
      sizeBytes: Type.Integer({ minimum: 1, maximum: 17_592_186_044_416 }),
      sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Checked on arrival when given' })),
    }),
    response: closed({
      image: Image,
      uploadPath: Type.String({ description: 'tus upload address, to PATCH and HEAD with the same credentials' }),
    }),
    cli: { hidden: true },
  }),
  update: operation({
    method: 'PATCH',
    path: '/images/{image}',
    summary: 'Rename, describe or label an image, or make it public',
    access: 'project.member',
    params,
    query,
    body: closed({
      name: Type.Optional(Name),
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      public: Type.Optional(Type.Boolean()),
    }),
    response: Image,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/images/{image}',
    summary: 'Delete an image that no linked clone stands on',
    access: 'project.member',
    task: 'image-delete',
    params,
    query,
    response: Task,
  }),
});
