/** How SQLite looks for what is asked often. PostgreSQL plans by its statistics, and says so only of large tables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { CompiledQuery } from 'kysely';
import { systemIds } from '../ids.ts';
import { onDatabase } from '../testing/databases.ts';
import { bootstrap } from './bootstrap.ts';
import type { Executor } from './database.ts';
import { isVniTaken } from './networks.ts';
import { crashedVms } from './vms.ts';

/** The statements of `work`, with how each is looked up. */
async function plansOf(db: Executor, work: (db: Executor) => Promise<unknown>): Promise<string[]> {
  const asked: CompiledQuery[] = [];
  const executor = db.getExecutor();
  const compileQuery = executor.compileQuery.bind(executor);
  executor.compileQuery = (...given) => {
    const compiled = compileQuery(...given);
    asked.push(compiled);
    return compiled;
  };
  await work(db);
  executor.compileQuery = compileQuery;
  const plans: string[] = [];
  for (const { sql, parameters } of asked) {
    const { rows } = await db.executeQuery(CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]));
    plans.push(rows.map((row) => (row as { detail: string }).detail).join('; '));
  }
  return plans;
}

onDatabase('sqlite', 'plans', (open) => {
  test('crashed VMs and taken VNIs are found by their own indexes', async () => {
    const store = await open();
    await bootstrap(store, { clock: systemClock, ids: systemIds });
    assert.match((await plansOf(store.db, crashedVms)).join(), /^S\w+ vms USING INDEX vms_crashed/);
    const plans = await plansOf(store.db, (db) => isVniTaken(db, 5));
    assert.match(plans.join(), /^SEARCH networks USING (COVERING )?INDEX networks_by_vni \(segment=\?\)/);
  });
});
