/**
 * Brings the schema up to date at start: each migration once, in order, in one transaction, so that two managers never collide. A
 * database that a newer version brought further is refused: this one would not see what that version promised.
 */
import { sql } from 'kysely';
import type { DatabaseKind, Store } from './database.ts';
import { firstSlice } from './migrations/0001-first-slice.ts';
import { copiesAndRevivals } from './migrations/0002-copies-and-revivals.ts';
import { indexesForMany } from './migrations/0003-indexes-for-many.ts';
import { distributedSwitch } from './migrations/0004-distributed-switch.ts';
import { highAvailability } from './migrations/0005-high-availability.ts';
import { leasesAndFencing } from './migrations/0006-leases-and-fencing.ts';
import { failuresAndBalance } from './migrations/0007-failures-and-balance.ts';
import { virtualFunctions } from './migrations/0008-virtual-functions.ts';
import { sessionCuts } from './migrations/0009-session-cuts.ts';
import { powerSaving } from './migrations/0010-power-saving.ts';
import { networkQuotas } from './migrations/0011-network-quotas.ts';
import { powerDeviceTrust } from './migrations/0012-power-device-trust.ts';
import { hostLeftovers } from './migrations/0013-host-leftovers.ts';
import { gatewayHandover } from './migrations/0014-gateway-handover.ts';

export interface Migration {
  /** Sorts and names it for ever: `0001-first-slice`. */
  readonly name: string;
  /** Statements that mean the same on SQLite and PostgreSQL. */
  readonly statements: readonly string[];
}

const migrations: readonly Migration[] = [
  firstSlice,
  copiesAndRevivals,
  indexesForMany,
  distributedSwitch,
  highAvailability,
  leasesAndFencing,
  failuresAndBalance,
  virtualFunctions,
  sessionCuts,
  powerSaving,
  networkQuotas,
  powerDeviceTrust,
  hostLeftovers,
  gatewayHandover,
];

export async function migrate(store: Store): Promise<void> {
  await store.transaction(async (tx) => {
    await sql`create table if not exists migrations (name text primary key)`.execute(tx);
    const done = await sql<{ name: string }>`select name from migrations`.execute(tx);
    const names = new Set(done.rows.map((row) => row.name));
    const newer = [...names].filter((name) => !migrations.some((known) => known.name === name)).toSorted();
    if (newer.length > 0) {
      throw new Error(
        `The database is of a newer version of Kvasir (${newer.join(', ')}): start that version, or restore a backup from before`,
      );
    }
    for (const migration of migrations) {
      if (names.has(migration.name)) continue;
      for (const statement of migration.statements) await sql.raw(inDialect(store.kind, statement)).execute(tx);
      await sql`insert into migrations (name) values (${migration.name})`.execute(tx);
    }
  });
}

/** PostgreSQL compares text by language unless told; SQLite compares bytes. Both shall list in the same order. */
function inDialect(kind: DatabaseKind, statement: string): string {
  return kind === 'postgres' ? statement.replaceAll(/ text\b/g, ' text collate "C"') : statement;
}
