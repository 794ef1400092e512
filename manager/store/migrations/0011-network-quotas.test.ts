import assert from 'node:assert/strict';
import { it } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { unlimitedQuota } from '@kvasir/api/resources/project.ts';
import { sql } from 'kysely';
import { systemIds } from '../../ids.ts';
import { forEachDatabase } from '../../testing/databases.ts';
import { bootstrap } from '../bootstrap.ts';
import { projects } from '../projects.ts';
import { networkQuotas } from './0011-network-quotas.ts';

forEachDatabase('quotas of before the distributed switch had any', (open) => {
  it('keep their limits, and have none for networks', async () => {
    const store = await open();
    await bootstrap(store, { clock: systemClock, ids: systemIds });
    await store.transaction(async (tx) => {
      const [project] = await projects.select(tx, {});
      assert.ok(project !== undefined);
      const old = JSON.stringify({ vms: 3, cpus: null, memoryMib: 2048, volumes: null, storageGib: 0.5 });
      await sql`update projects set quota = ${old}`.execute(tx);
      for (const statement of networkQuotas.statements) await sql.raw(statement).execute(tx);
      const { quota } = await projects.get(tx, project.id);
      assert.deepEqual(quota, { ...unlimitedQuota, vms: 3, memoryMib: 2048, storageGib: 0.5 });
    });
  });
});
