/** Clusters and their placement policy. */
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface ClusterRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly placementPolicy: 'spread' | 'pack';
  readonly cpuOvercommit: number;
  readonly memoryOvercommit: number;
  readonly memoryReservedMib: number;
}

export const clusters = new Table<ClusterRow>({
  table: 'clusters',
  kind: 'cluster',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    placementPolicy: 'text',
    cpuOvercommit: 'real',
    memoryOvercommit: 'real',
    memoryReservedMib: 'integer',
  },
});
