/** What else is done to ports: limits of rate (QoS), and mirrors that copy their traffic. */
import type { Labels } from '@kvasir/api/schema.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface Rate {
  readonly rateKbps: number;
  readonly burstKb: number;
}

export interface QosPolicyRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  readonly shared: boolean;
  readonly fromVm: Rate | null;
  readonly toVm: Rate | null;
  readonly dscp: number | null;
}

export const qosPolicies = new Table<QosPolicyRow>({
  table: 'qosPolicies',
  kind: 'QoS policy',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    shared: 'flag',
    fromVm: 'json',
    toVm: 'json',
    dscp: 'integer',
  },
});

export interface MirrorRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  /** null: the ports listed. */
  readonly sourceNetworkId: string | null;
  /** Also of ports that are gone by now. */
  readonly sourcePortIds: readonly string[];
  readonly direction: 'in' | 'out' | 'both';
  /** A port, or the three below. */
  readonly targetPortId: string | null;
  readonly targetKind: 'gre' | 'erspan' | null;
  readonly targetAddress: string | null;
  readonly targetKey: number | null;
}

/** Removed with their target port. */
export const mirrors = new Table<MirrorRow>({
  table: 'mirrors',
  kind: 'mirror',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    sourceNetworkId: 'text',
    sourcePortIds: 'json',
    direction: 'text',
    targetPortId: 'text',
    targetKind: 'text',
    targetAddress: 'text',
    targetKey: 'integer',
  },
});
