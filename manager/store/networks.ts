/** Networks and the ports (NICs of VMs) on them. */
import type { Labels } from '@kvasir/api/schema.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface NetworkRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  readonly shared: boolean;
  readonly kind: 'flat';
  readonly mtu: number;
}

export const networks = new Table<NetworkRow>({
  table: 'networks',
  kind: 'network',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    shared: 'flag',
    kind: 'text',
    mtu: 'integer',
  },
});

export interface PortRow extends Versioned {
  readonly vmId: string;
  readonly networkId: string;
  /** Unique over the whole system. */
  readonly macAddress: string;
  readonly model: 'virtio' | 'e1000e';
  readonly connected: boolean;
  /** Order within the VM, from 0. */
  readonly position: number;
}

/** Removed with their VM. */
export const ports = new Table<PortRow>({
  table: 'ports',
  kind: 'MAC address',
  columns: {
    ...versioned,
    vmId: 'text',
    networkId: 'text',
    macAddress: 'text',
    model: 'text',
    connected: 'flag',
    position: 'integer',
  },
});
