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

/** Hosts that lack an uplink of a switch which these networks are on, with the names of those switches. Empty when none is on a switch. */
export async function hostsWithoutUplink(
  db: Executor,
  networkIds: readonly string[],
): Promise<Readonly<Record<string, readonly string[]>>> {
  if (networkIds.length === 0) return {};
  const on = await db
    .selectFrom('networks')
    .innerJoin('switches', 'switches.id', 'networks.switchId')
    .select(['switches.id', 'switches.name'])
    .distinct()
    .where('networks.id', 'in', [...networkIds])
    .orderBy('switches.name')
    .execute();
  if (on.length === 0) return {};
  const links = await uplinks.select(db, { switchId: on.map(({ id }) => id) });
  const linked = new Set(links.map(({ hostId, switchId }) => `${hostId} ${switchId}`));
  const all = await db.selectFrom('hosts').select('id').execute();
  return Object.fromEntries(
    all.flatMap((host): [string, string[]][] => {
      const lacking = on.filter(({ id }) => !linked.has(`${host.id} ${id}`)).map(({ name }) => name);
      return lacking.length === 0 ? [] : [[host.id, lacking]];
    }),
  );
}
