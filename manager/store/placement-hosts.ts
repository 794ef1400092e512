/**
 * Hosts as placement sees them, read with one query each for rows, promises and pools. All that is promised on a host stands
 * in `vms` as one sum without an id; it belongs to no project, so that no group sees it.
 */
import type { CommittedVm, PlacementHost } from '@kvasir/control/placement/world.ts';
import { sql } from 'kysely';
import { type Committed, committedOn, type HostSet, idsOf } from './commitments.ts';
import type { Stored } from './columns.ts';
import type { Executor } from './database.ts';
import { type HostRow, hosts } from './hosts.ts';

export type Promised = Pick<Committed, 'cpus' | 'memoryMib'>;

/** By name. Each reaches every network; `networkIds` stays empty. */
export async function readPlacementHosts(db: Executor, which: HostSet): Promise<KnownHost[]> {
  const ids = idsOf(which);
  const rows = await db
    .selectFrom('hosts')
    .select(['id', 'name', 'state', 'schedulable', 'cpus', 'memoryMib', 'inventory'])
    .where(sql<boolean>`id in (${ids})`)
    .orderBy('name')
    .execute();
  const reports = await db
    .selectFrom('poolHosts')
    .select(['hostId', 'poolId'])
    .where(sql<boolean>`host_id in (${ids})`)
    .where('reachable', '=', 1)
    .execute();
  const reach = Map.groupBy(reports, ({ hostId }) => hostId);
  const lost = await db.selectFrom('hostHa').select('hostId').where('state', '=', 'hypervisor-lost').execute();
  const lostIds = new Set(lost.map(({ hostId }) => hostId));
  const sums = await committedOn(db, which);
  return rows.map(
    (row) =>
      new KnownHost(
        { ...row, state: row.state as HostRow['state'], hypervisorLost: lostIds.has(row.id) },
        (reach.get(row.id) ?? []).map(({ poolId }) => poolId),
        [sumOf(sums.get(row.id) ?? nothing)],
      ),
  );
}

type KnownColumns = Pick<Stored<HostRow>, 'id' | 'name' | 'schedulable' | 'cpus' | 'memoryMib' | 'inventory'> &
  Pick<HostRow, 'state'> & { readonly hypervisorLost: boolean };

export class KnownHost implements PlacementHost {
  readonly id: string;
  readonly name: string;
  readonly state: HostRow['state'];
  readonly schedulable: boolean;
  readonly hypervisorLost: boolean;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly reachablePoolIds: readonly string[];
  readonly networkIds: readonly string[] = [];
  readonly vms: readonly CommittedVm[];
  readonly #row: KnownColumns;

  constructor(row: KnownColumns, reachablePoolIds: readonly string[], vms: readonly CommittedVm[]) {
    this.id = row.id;
    this.name = row.name;
    this.state = row.state;
    this.schedulable = row.schedulable === 1;
    this.hypervisorLost = row.hypervisorLost;
    this.cpus = row.cpus;
    this.memoryMib = row.memoryMib;
    this.reachablePoolIds = reachablePoolIds;
    this.vms = vms;
    this.#row = row;
  }

  /** Seldom asked for, and dear to decode of a thousand hosts. */
  get cpuModels(): readonly string[] {
    return hosts.decode(this.#row).inventory?.usableCpuModels ?? [];
  }

  /** The same host with more promised (negative: with less), and with VMs that stand by themselves. */
  withPromised(more: Promised, single: readonly CommittedVm[] = []): KnownHost {
    const [sum = nothing] = this.vms;
    const total = sumOf({ cpus: sum.cpus + more.cpus, memoryMib: sum.memoryMib + more.memoryMib });
    return new KnownHost(this.#row, this.reachablePoolIds, [total, ...single]);
  }
}

const nothing: Promised = { cpus: 0, memoryMib: 0 };

function sumOf({ cpus, memoryMib }: Promised): CommittedVm {
  return { id: '', projectId: '', cpus, memoryMib, affinity: [], antiAffinity: [] };
}
