/**
 * The filter `target` of tasks and events: an id, or its beginning as lists show it. What it worked on may be gone by now, so
 * the beginning is held against what the tasks and events themselves tell, as far as the caller sees them.
 */
import { type Expression, sql, type SqlBool } from 'kysely';
import type { Executor } from '../store/database.ts';
import type { Table } from '../store/table.ts';
import { isId, severalBegin } from './access.ts';

/** The whole id; the beginning itself, which fits nothing, when none begins so. @throws invalid-request when several do */
export async function targetNamed<Row extends { readonly targetId: string | null }>(
  db: Executor,
  table: Table<Row>,
  asked: string | undefined,
  visible: readonly Expression<SqlBool>[],
): Promise<string | undefined> {
  if (asked === undefined || isId(asked)) return asked;
  // A range, for which both databases have an index; nothing in an id comes after `~`.
  const begins = sql<SqlBool>`target_id >= ${asked} and target_id < ${`${asked}~`}`;
  const { rows } = await sql<{ readonly targetId: string }>`
    select distinct target_id from ${sql.table(table.table)}
    where ${sql.join([begins, ...visible], sql` and `)} limit 2`.execute(db);
  if (rows.length > 1) throw severalBegin(asked, '/query/target');
  return rows[0]?.targetId ?? asked;
}
