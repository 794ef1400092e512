/** Terms of the leases of a cluster, and each host's slot in its lease files. */
import { Table } from './table.ts';

export interface ClusterLeasesRow {
  readonly clusterId: string;
  /** false: hosts keep no leases; they still probe each other. */
  readonly enabled: boolean;
  readonly renewEveryMs: number;
  readonly killAfterMs: number;
  readonly leaseMs: number;
  /** null: no probes. */
  readonly probePort: number | null;
  /** Base64; known to the cluster's hosts only. */
  readonly probeKey: string;
}

export const clusterLeases = new Table<ClusterLeasesRow>({
  table: 'clusterLeases',
  kind: 'leases of a cluster',
  columns: {
    clusterId: 'text',
    enabled: 'flag',
    renewEveryMs: 'integer',
    killAfterMs: 'integer',
    leaseMs: 'integer',
    probePort: 'integer',
    probeKey: 'text',
  },
  key: 'clusterId',
});

/** What holds where nobody has said otherwise. */
export const defaultLeases = {
  enabled: true,
  renewEveryMs: 1000,
  killAfterMs: 6000,
  leaseMs: 9000,
  probePort: 7445,
} as const;

export interface HostLeaseSlotRow {
  readonly hostId: string;
  readonly clusterId: string;
  readonly slot: number;
}

/** Removed with the host. */
export const hostLeaseSlots = new Table<HostLeaseSlotRow>({
  table: 'hostLeaseSlots',
  kind: 'lease slot',
  columns: { hostId: 'text', clusterId: 'text', slot: 'integer' },
  key: 'hostId',
});
