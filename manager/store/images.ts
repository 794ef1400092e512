/** Images and the pools that hold a copy of their file. */
import type { Labels } from '@kvasir/api/schema.ts';
import type { Executor } from './database.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface ImageRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  readonly public: boolean;
  readonly state: 'uploading' | 'importing' | 'ready' | 'failed' | 'deleting';
  /** These four are known once it is ready. */
  readonly format: 'qcow2' | 'raw' | null;
  readonly virtualSizeMib: number | null;
  readonly sizeBytes: number | null;
  readonly sha256: string | null;
}

export const images = new Table<ImageRow>({
  table: 'images',
  kind: 'image',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    public: 'flag',
    state: 'text',
    format: 'text',
    virtualSizeMib: 'integer',
    sizeBytes: 'integer',
    sha256: 'text',
  },
});

export interface ImageCopyRow {
  readonly id: string;
  readonly imageId: string;
  readonly poolId: string;
  /** Host of a local pool; null in a shared pool. */
  readonly hostId: string | null;
  /** Written before the file is: a `copying` one may have a file or not, so whoever deletes the image asks for that one too. */
  readonly state: 'copying' | 'ready';
  readonly createdAt: number;
}

/** One for each image, pool and host. Only the `ready` ones hold the image. */
export const imageCopies = new Table<ImageCopyRow>({
  table: 'imageCopies',
  kind: 'image copy',
  columns: { id: 'text', imageId: 'text', poolId: 'text', hostId: 'text', state: 'text', createdAt: 'integer' },
});

/** How many images would be lost with these copies: whole copies, and no other whole one elsewhere. */
export async function countOnlyCopies(ex: Executor, where: { poolId: string } | { hostId: string }): Promise<number> {
  const leaving = await imageCopies.select(ex, { ...where, state: 'ready' });
  const going = new Set(leaving.map(({ id }) => id));
  const all = await imageCopies.select(ex, { imageId: leaving.map(({ imageId }) => imageId), state: 'ready' });
  const staying = new Set(all.filter(({ id }) => !going.has(id)).map(({ imageId }) => imageId));
  return new Set(leaving.map(({ imageId }) => imageId).filter((imageId) => !staying.has(imageId))).size;
}
