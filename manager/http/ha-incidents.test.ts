/** Incidents and their timelines, through the API. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { appendTimeline, haIncidents } from '../store/ha-incidents.ts';
import { hosts } from '../store/hosts.ts';
import { tasks } from '../store/tasks.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { haApi } from './testing/ha-api.ts';
import { insertHost } from './testing/inventory.ts';
import { refused } from './testing/refused.ts';

forEachDatabase('incidents', (open) => {
  const api = haApi(open);
  const { admin, vm } = api;

  it('shows incidents with their timelines', async () => {
    const incidentId = api.world.env.ids.uuid();
    await api.world.store.transaction(async (tx) => {
      const about = { hostId: api.h1.id, hostName: 'h1', state: 'dead', because: 'silent', alarms: ['host-lost'] };
      await haIncidents.insert(tx, {
        id: incidentId,
        clusterId: api.clusterId,
        ...about,
        openedAt: 1000,
        closedAt: null,
      });
      await appendTimeline(tx, incidentId, [
        { at: 1000, kind: 'seen', message: 'h1 is dead', because: 'silent' },
        { at: 3500, kind: 'done', message: 'h1 is proven dead' },
      ]);
    });
    const { items } = await admin().call(haOperations.list, { query: { host: 'h1', open: true } });
    assert.deepEqual(
      items.map(({ id }) => id),
      [incidentId],
    );
    assert.deepEqual((await admin().call(haOperations.list, { query: { open: false } })).items, []);
    const one = await admin().call(haOperations.get, { params: { incident: incidentId } });
    assert.deepEqual(
      one.timeline.map(({ sinceMs, message }) => [sinceMs, message]),
      [
        [0, 'h1 is dead'],
        [2500, 'h1 is proven dead'],
      ],
    );
    const host = await admin().call(hostOperations.get, { params: { host: 'h1' } });
    assert.deepEqual(host.ha, { state: 'running', because: null, since: null, incidentId });
  });

  it('ends the incidents of a host that is removed, but not while a VM of it may come back to it', async () => {
    const { store } = api.world;
    const gone = await store.transaction(async (tx) => {
      const row = await insertHost(tx, api.clusterId, 'gone');
      await hosts.set(tx, { id: row.id }, { state: 'down' });
      const about = { hostId: row.id, hostName: 'gone', state: 'fenced', because: 'silent', alarms: [] };
      await haIncidents.insert(tx, {
        id: api.world.env.ids.uuid(),
        clusterId: api.clusterId,
        ...about,
        openedAt: 1000,
        closedAt: null,
      });
      return row;
    });
    const away = await vm('away', { hostId: api.h2.id, state: 'stopped' });
    const params = { vmId: away.id, fromHostId: gone.id, toHostId: api.h2.id, proofId: null, paused: false };
    const target = { kind: 'vm', id: away.id, name: away.name };
    const { id: taskId } = await store.transaction((tx) =>
      enqueueTask(tx, api.world.env, { kind: 'vm-restart', params, target, projectId: api.projectId, userId: null }),
    );
    const remove = () => admin().call(hostOperations.delete, { params: { host: 'gone' } });
    await assert.rejects(remove(), refused('in-use', /1 VM\(s\) that leave it/));
    await store.transaction((tx) => tasks.set(tx, { id: taskId }, { state: 'failed' }));
    await remove();
    const [incident] = await haIncidents.select(store.db, { hostName: 'gone' });
    assert.ok(incident?.closedAt !== null && incident?.hostId === null);
    const { timeline } = await admin().call(haOperations.get, { params: { incident: incident.id } });
    assert.deepEqual(timeline.at(-1)?.because, 'gone was removed');
  });
});
