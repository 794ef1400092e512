/** Images and the pools that hold a copy of their file. */
import type { Labels } from '@kvasir/api/schema.ts';
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
  readonly createdAt: number;
}

/** One for each image, pool and host. */
export const imageCopies = new Table<ImageCopyRow>({
  table: 'imageCopies',
  kind: 'image copy',
  columns: { id: 'text', imageId: 'text', poolId: 'text', hostId: 'text', createdAt: 'integer' },
});
