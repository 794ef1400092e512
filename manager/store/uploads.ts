/** Uploads of images that are under way: the content lies in the manager's spool until the import task has streamed it to a host. */
import { Table } from './table.ts';

export interface UploadRow {
  readonly id: string;
  readonly imageId: string;
  readonly projectId: string;
  readonly userId: string;
  readonly poolId: string;
  /** Of the whole content. */
  readonly sizeBytes: number;
  readonly receivedBytes: number;
  readonly sha256: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** After it an unfinished upload is thrown away. */
  readonly expiresAt: number;
}

/** Removed with the image. */
export const uploads = new Table<UploadRow>({
  table: 'uploads',
  kind: 'upload',
  columns: {
    id: 'text',
    imageId: 'text',
    projectId: 'text',
    userId: 'text',
    poolId: 'text',
    sizeBytes: 'integer',
    receivedBytes: 'integer',
    sha256: 'text',
    createdAt: 'integer',
    updatedAt: 'integer',
    expiresAt: 'integer',
  },
});
