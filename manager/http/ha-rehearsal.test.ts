/** Rehearsals through the API: what would happen if a host died now. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { savePowerOnce } from '../controllers/power-saving.ts';
import { haRestarts } from '../store/ha-incidents.ts';
import { setHostHa } from '../store/host-ha.ts';
import { hostStandby } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { noRoom } from '../tasks/power-saving-world.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { haApi, query } from './testing/ha-api.ts';
import { attachRow, insertHost } from './testing/inventory.ts';

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

  it('counts on hosts in standby as the real thing does: it says which is woken, and that one is', async () => {
    const { store, env } = api.world;
    const h3 = await store.transaction(async (tx) => {
      const row = await insertHost(tx, api.clusterId, 'h3', { state: 'down', schedulable: false });
      await setHostHa(tx, row.id, { state: 'standby', because: null, since: 0 });
      const standby = { wasSchedulable: true, phase: 'standby', byPolicy: true, because: '', taskId: '' } as const;
      await hostStandby.insert(tx, { hostId: row.id, since: 0, ...standby });
      return row;
    });
    env.signals.lastHeartbeatMs = (id) => (id === h3.id ? undefined : Date.now());
    await vm('filler', { hostId: api.h2.id, memoryMib: 200_000 });
    const big = await vm('big', { memoryMib: 100_000 });
    const said = async () => {
      const { restarts } = await admin().call(haOperations.drill, { params: { host: 'h1' } });
      return Object.fromEntries(restarts.map(({ vmName, hostName }) => [vmName, hostName]));
    };
    assert.deepEqual(await said(), { db: 'h2', web: 'h2', big: 'h3', local: null });
    const why = await admin().call(haOperations.explain, { params: { vm: 'big' }, query });
    assert.equal(why.because, 'no host that is on takes big (its host failed): h3 is woken');

    await store.transaction(async (tx) => {
      await hosts.set(tx, { id: api.h1.id }, { state: 'down' });
      await vms.set(tx, { hostId: api.h1.id }, { state: 'unknown' });
      const about = { vmId: big.id, incidentId: env.ids.uuid(), fromHostId: api.h1.id, toHostId: null, taskId: null };
      const tries = { attempts: 0, notBefore: 0, since: 1, hadGuestAgent: false, reason: noRoom, createdAt: 1 };
      await haRestarts.insert(tx, { id: env.ids.uuid(), state: 'waiting', endedAt: null, ...about, ...tries });
    });
    const epoch = await currentEpoch(store.db);
    await savePowerOnce({ ...env, epoch: () => epoch });
    const woken = (await tasks.select(store.db, { kind: 'host-wake' })).map(({ targetName }) => targetName);
    assert.deepEqual(woken, ['h3']);
  });
});
