import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { forEachDatabase } from '../testing/databases.ts';
import { migrate } from './migrate.ts';

forEachDatabase('migrations', (open) => {
  test('refuse the database of a newer version, and change nothing there', async () => {
    const store = await open();
    await migrate(store);
    const names = async () => (await sql`select name from migrations order by name`.execute(store.db)).rows;
    await store.transaction((tx) =>
      sql`insert into migrations (name) values ('9999-later'), ('9998-sooner')`.execute(tx),
    );
    const before = await names();
    await assert.rejects(migrate(store), /newer version of Kvasir \(9998-sooner, 9999-later\)/);
    assert.deepEqual(await names(), before);
  });
});
