/** Pools and how each host reaches them. */
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface PoolRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly clusterId: string;
  readonly kind: 'directory';
  readonly path: string;
  readonly shared: boolean;
}

export const pools = new Table<PoolRow>({
  table: 'pools',
  kind: 'pool',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    clusterId: 'text',
    kind: 'text',
    path: 'text',
    shared: 'flag',
  },
});

export interface PoolHostRow {
  readonly poolId: string;
  readonly hostId: string;
  readonly reachable: boolean;
  readonly reason: string | null;
  readonly totalMib: number | null;
  readonly freeMib: number | null;
  readonly updatedAt: number;
}

/** Key: pool and host (`put(tx, row, ['poolId', 'hostId'])`). Removed with either. */
export const poolHosts = new Table<PoolHostRow>({
  table: 'poolHosts',
  kind: 'pool of a host',
  columns: {
    poolId: 'text',
    hostId: 'text',
    reachable: 'flag',
    reason: 'text',
    totalMib: 'integer',
    freeMib: 'integer',
    updatedAt: 'integer',
  },
  key: 'hostId',
});
