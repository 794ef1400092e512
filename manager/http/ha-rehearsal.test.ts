/** Rehearsals through the API: what would happen if a host died now. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { tasks } from '../store/tasks.ts';
import { volumes } from '../store/volumes.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { haApi, query } from './testing/ha-api.ts';
import { attachRow } from './testing/inventory.ts';

forEachDatabase('rehearsals', (open) => {
  const api = haApi(open);
  const { admin, vm } = api;

  it('rehearses the death of a host, and explains what would become of a VM', async () => {
    const web = await vm('web');
    await admin().call(vmOperations.update, {
      params: { vm: web.id },
      query,
      body: { ha: { priority: 'high', dependsOn: ['db'] } },
    });
    await vm('db');
    const local = await vm('local');
    await api.world.store.transaction(async (tx) => {
      await attachRow(tx, local.id, (await volumes.find(tx, { name: 'own-disk' }))!.id);
    });
    const before = await tasks.count(api.world.store.db);
    const drill = await admin().call(haOperations.drill, { params: { host: 'h1' } });
    assert.deepEqual(
      drill.restarts.map(({ vmName, position, hostName }) => [vmName, position, hostName]),
      [
        ['db', 1, 'h2'],
        ['web', 2, 'h2'],
        ['local', null, null],
      ],
    );
    assert.equal(drill.fenced, false);
    const why = await admin().call(haOperations.explain, { params: { vm: 'web' }, query });
    assert.deepEqual([why.position, why.hostName, why.currentHostName, why.after], [2, 'h2', 'h1', ['db']]);
    const not = await admin().call(haOperations.explain, { params: { vm: 'local' }, query });
    assert.match(not.because, /lies on the host alone/);
    assert.equal(await tasks.count(api.world.store.db), before, 'nothing was touched');
  });
});
