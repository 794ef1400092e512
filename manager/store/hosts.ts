/** Hosts: what the administrator says of them, what their agent reported, and the certificate that they dial in with. */
import type { Inventory } from '@kvasir/api/agent/host.ts';
import type { Labels } from '@kvasir/api/schema.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface HostRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly clusterId: string;
  readonly state: 'up' | 'down' | 'joining';
  readonly schedulable: boolean;
  readonly address: string;
  readonly virtualization: 'kvm' | 'emulation' | 'simulated' | null;
  readonly cpus: number;
  readonly cpuModel: string;
  readonly memoryMib: number;
  readonly versions: Readonly<Record<string, string>>;
  /** The last full report; null before the first. */
  readonly inventory: Inventory | null;
  /** SHA-256 of the certificate in hex; null: revoked or not yet joined. */
  readonly certificateFingerprint: string | null;
  readonly lastSeenAt: number | null;
}

export const hosts = new Table<HostRow>({
  table: 'hosts',
  kind: 'host',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    clusterId: 'text',
    state: 'text',
    schedulable: 'flag',
    address: 'text',
    virtualization: 'text',
    cpus: 'integer',
    cpuModel: 'text',
    memoryMib: 'integer',
    versions: 'json',
    inventory: 'json',
    certificateFingerprint: 'text',
    lastSeenAt: 'integer',
  },
});
