/** Volumes. To which VM one is attached stands in `vmDisks` alone. */
import type { Labels } from '@kvasir/api/schema.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface VolumeRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  readonly poolId: string;
  /** Host of a local pool; null in a shared pool. */
  readonly hostId: string | null;
  readonly state: 'creating' | 'ready' | 'failed' | 'deleting';
  readonly format: 'qcow2' | 'raw';
  readonly sizeMib: number;
  readonly imageId: string | null;
  readonly linked: boolean;
  /** Set while its VM lies in the trash: its name is free for others. */
  readonly trashedAt: number | null;
}

/** Names are unique in a project, the trash aside. */
export const volumes = new Table<VolumeRow>({
  table: 'volumes',
  kind: 'volume',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    poolId: 'text',
    hostId: 'text',
    state: 'text',
    format: 'text',
    sizeMib: 'integer',
    imageId: 'text',
    linked: 'flag',
    trashedAt: 'integer',
  },
});
