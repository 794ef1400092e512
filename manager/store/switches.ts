/** Distributed switches, and the uplinks by which hosts take part in them. */
import type { Labels } from '@kvasir/api/schema.ts';
import type { Executor } from './database.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export type BondMode = 'active-backup' | 'balance-slb' | 'lacp';

export interface SwitchRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  /** All hosts of this cluster; null: those listed. */
  readonly clusterId: string | null;
  readonly hostIds: readonly string[];
  readonly defaultBond: BondMode;
  /** Of the physical network. */
  readonly mtu: number;
}

export const switches = new Table<SwitchRow>({
  table: 'switches',
  kind: 'switch',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    clusterId: 'text',
    hostIds: 'json',
    defaultBond: 'text',
    mtu: 'integer',
  },
});

export interface UplinkRow extends Versioned {
  readonly name: string;
  readonly switchId: string;
  readonly hostId: string;
  readonly nics: readonly string[];
  /** null: a single NIC. */
  readonly bond: BondMode | null;
  readonly lacpFast: boolean;
}

/** Removed with their host. */
export const uplinks = new Table<UplinkRow>({
  table: 'uplinks',
  kind: 'uplink',
  columns: {
    ...versioned,
    name: 'text',
    switchId: 'text',
    hostId: 'text',
    nics: 'json',
    bond: 'text',
    lacpFast: 'flag',
  },
});

/** Hosts that lack an uplink of a switch which these networks are on. Empty when none is on a switch. */
export async function hostsWithoutUplink(db: Executor, networkIds: readonly string[]): Promise<string[]> {
  if (networkIds.length === 0) return [];
  const on = await db
    .selectFrom('networks')
    .select('switchId')
    .distinct()
    .where('id', 'in', [...networkIds])
    .where('switchId', 'is not', null)
    .execute();
  if (on.length === 0) return [];
  const switchIds = on.flatMap(({ switchId }) => switchId ?? []);
  const linked = Map.groupBy(await uplinks.select(db, { switchId: switchIds }), ({ hostId }) => hostId);
  const all = await db.selectFrom('hosts').select('id').execute();
  return all.flatMap(({ id }) => ((linked.get(id)?.length ?? 0) < switchIds.length ? [id] : []));
}
