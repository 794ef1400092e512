/** High availability through the API: settings, an operator's word, what is shown of incidents, and rehearsals. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { volumeOperations } from '@kvasir/api/resources/volume.ts';
import { fenceProofs, validProof } from '../store/fence-proofs.ts';
import { appendTimeline, haIncidents, haRestarts } from '../store/ha-incidents.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hostLeftovers } from '../store/host-leftovers.ts';
import { hostHa, setHostHa } from '../store/host-ha.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { tasks } from '../store/tasks.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './testing/api-world.ts';
import { attachRow, defaultClusterId, insertHost, insertPool, insertVm, insertVolume } from './testing/inventory.ts';

function refused(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KvasirError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}

forEachDatabase('high availability in the API', (open) => {
  let world: ApiWorld;
  let clusterId: string;
  let h1: HostRow;
  let h2: HostRow;
  let projectId: string;
  const query = { project: 'shop' };
  const admin = () => createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });

  async function vm(name: string, facts: Partial<VmRow> = {}): Promise<VmRow> {
    return await world.store.transaction(async (tx) => {
      const row = await insertVm(tx, projectId, name, clusterId, { hostId: h1.id, desiredState: 'running', ...facts });
      const state = facts.state === 'unknown' || facts.state === undefined ? 'running' : facts.state;
      const seen = { name, state, managed: true, vmId: row.id, seenAt: 1 };
      await hostDomains.insert(tx, { hostId: h1.id, domainId: row.id, ...seen });
      return row;
    });
  }

  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      clusterId = await defaultClusterId(tx);
      projectId = (await insertProject(tx, world, 'shop')).id;
      h1 = await insertHost(tx, clusterId, 'h1');
      h2 = await insertHost(tx, clusterId, 'h2');
      const pool = await insertPool(tx, clusterId, 'gold', [h1.id, h2.id]);
      const local = await insertPool(tx, clusterId, 'tin', [h1.id, h2.id], false);
      await insertVolume(tx, projectId, 'disk', pool.id);
      await insertVolume(tx, projectId, 'own-disk', local.id, { hostId: h1.id });
    });
  });
  after(() => world.close());

  it('takes a part of a policy and keeps the rest; refuses times that do not go together', async () => {
    const send = (ha: object) =>
      admin().call(clusterOperations.update, { params: { cluster: clusterId }, body: { ha } });
    const { ha } = await send({ isolation: 'restart', maxParallelRestarts: 3 });
    assert.deepEqual([ha.isolation, ha.maxParallelRestarts, ha.enabled], ['restart', 3, true]);
    const next = await send({ maxParallelRestarts: 4 });
    assert.deepEqual([next.ha.isolation, next.ha.maxParallelRestarts], ['restart', 4]);
    await assert.rejects(send({ fenceAfterMs: 2000 }), refused('invalid-request', /fenceAfterMs/));
  });

  it('shows and changes how a VM is treated', async () => {
    const { id } = await vm('web');
    const send = (ha: object) => admin().call(vmOperations.update, { params: { vm: id }, query, body: { ha } });
    assert.deepEqual((await send({ priority: 'high', dependsOn: ['db'] })).ha.dependsOn, ['db']);
    assert.equal((await admin().call(vmOperations.get, { params: { vm: 'web' }, query })).ha.priority, 'high');
    await assert.rejects(send({ dependsOn: ['web'] }), refused('invalid-request', /itself/));
  });

  it('keeps a VM behind one that it depends on when that is renamed', async () => {
    const [first, other] = [await vm('first'), await vm('second')];
    const send = (id: string, body: object) => admin().call(vmOperations.update, { params: { vm: id }, query, body });
    await send(other.id, { ha: { dependsOn: ['elsewhere', 'first'] } });
    await send(first.id, { name: 'renamed' });
    const { ha } = await admin().call(vmOperations.get, { params: { vm: 'second' }, query });
    assert.deepEqual(ha.dependsOn, ['elsewhere', 'renamed']);
    await world.store.transaction((tx) => vms.remove(tx, { id: [first.id, other.id] }));
  });

  it('rehearses the death of a host, and explains what would become of a VM', async () => {
    await vm('db');
    const local = await vm('local');
    await world.store.transaction(async (tx) => {
      await attachRow(tx, local.id, (await volumes.find(tx, { name: 'own-disk' }))!.id);
    });
    const before = await tasks.count(world.store.db);
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
    assert.equal(await tasks.count(world.store.db), before, 'nothing was touched');
  });

  const confirm = () =>
    admin().call(hostOperations.confirmOff, {
      params: { host: 'h1' },
      body: { confirm: true, statement: 'the rack is dark' },
    });

  it('takes no word that a host is off which is up, or which a new manager has not missed yet', async () => {
    await assert.rejects(confirm(), refused('wrong-state', /has only just begun to listen; say it again/));
    const { signals } = world.env;
    const { lastHeartbeatMs } = signals;
    signals.lastHeartbeatMs = () => Date.now();
    await assert.rejects(confirm(), refused('wrong-state', /while it is up$/));
    signals.lastHeartbeatMs = lastHeartbeatMs;
  });

  it('takes no word about a silent host from a manager that does not hear those that might see it', async () => {
    const { store } = world;
    const { signals } = world.env;
    const { lastHeartbeatMs } = signals;
    const state = (of: 'up' | 'down') => store.transaction((tx) => hosts.set(tx, { id: h1.id }, { state: of }));
    await state('down');
    await assert.rejects(confirm(), refused('wrong-state', /does not hear h2, which may see it/));
    assert.equal(await validProof(store.db, h1.id), undefined);
    const report = {
      own: [],
      seen: [],
      peers: [{ hostId: h1.id, heardMsAgo: 10 }],
      uplinks: [],
      bootId: 'boot',
      guard: 'none' as const,
    };
    signals.lastHeartbeatMs = (id) => (id === h2.id ? Date.now() : undefined);
    signals.liveness = (id) => (id === h2.id ? { report, atMs: Date.now() } : undefined);
    await assert.rejects(confirm(), refused('wrong-state', /other hosts hear it/));
    signals.liveness = () => undefined;
    signals.lastHeartbeatMs = lastHeartbeatMs;
    await state('up');
  });

  it('takes no word about a host that is switched off to save power', async () => {
    await world.store.transaction(async (tx) => {
      await hosts.set(tx, { id: h1.id }, { state: 'down' });
      await setHostHa(tx, h1.id, { state: 'standby', because: null, since: 0 });
    });
    await assert.rejects(confirm(), refused('wrong-state', /in standby: it carries no VM$/));
    await world.store.transaction(async (tx) => {
      await hosts.set(tx, { id: h1.id }, { state: 'up' });
      await hostHa.remove(tx, { hostId: h1.id });
    });
    assert.equal(await validProof(world.store.db, h1.id), undefined);
  });

  it('takes a word about a silent host, and starts VMs elsewhere by it', async () => {
    const { id } = await vm('stopped-before', { state: 'unknown', desiredState: 'stopped' });
    await world.store.transaction((tx) => hosts.set(tx, { id: h1.id }, { state: 'down' }));
    world.env.signals.lastHeartbeatMs = (hostId) => (hostId === h2.id ? Date.now() : undefined);
    const start = () => admin().call(vmOperations.start, { params: { vm: id }, query, body: {} });
    await assert.rejects(start(), refused('wrong-state', /may still be running/));
    await confirm();
    assert.equal((await validProof(world.store.db, h1.id))?.kind, 'operator');
    const task = await start();
    assert.equal(task.kind, 'vm-restart');
    assert.equal((await vms.get(world.store.db, id)).reservedHostId, h2.id);
    await assert.rejects(start(), refused('busy', /locked/));
    const [near, other] = [
      await vm('near', { state: 'unknown', desiredState: 'stopped', affinity: ['near'] }),
      await vm('near-too', { state: 'unknown', desiredState: 'stopped', affinity: ['near'] }),
    ];
    const started = await admin().call(vmOperations.start, { params: { vm: near.id }, query, body: {} });
    assert.equal(started.kind, 'vm-restart', 'its group is left on the dead host');
    await world.store.transaction((tx) => vms.remove(tx, { id: [near.id, other.id] }));
  });

  it('lets a VM of a dead host be started or deleted once high availability has given it up', async () => {
    const { store, env } = world;
    const restarting = async (name: string, state: 'waiting' | 'failed') => {
      const { id } = await vm(name, { state: 'unknown' });
      const about = { vmId: id, incidentId: env.ids.uuid(), fromHostId: h1.id, toHostId: null, taskId: null };
      const tries = {
        attempts: 4,
        notBefore: 0,
        since: 1,
        hadGuestAgent: false,
        reason: 'no',
        createdAt: 1,
        endedAt: null,
      };
      await store.transaction((tx) => haRestarts.insert(tx, { id: env.ids.uuid(), state, ...about, ...tries }));
      return id;
    };
    const start = (id: string) => admin().call(vmOperations.start, { params: { vm: id }, query, body: {} });
    const remove = (id: string) => admin().call(vmOperations.delete, { params: { vm: id }, query });
    const busy = await restarting('still-tried', 'waiting');
    await assert.rejects(start(busy), refused('wrong-state', /being restarted by high availability/));
    await assert.rejects(remove(busy), refused('wrong-state', /being restarted by high availability/));
    const [started, removed] = [await restarting('given-up', 'failed'), await restarting('given-up-too', 'failed')];
    assert.equal((await start(started)).kind, 'vm-restart');
    assert.equal((await remove(removed)).kind, 'vm-delete');
    const open = await haRestarts.select(store.db, { endedAt: null });
    assert.deepEqual(
      open.map(({ vmId }) => vmId),
      [busy],
    );
    await store.transaction(async (tx) => {
      await vms.remove(tx, { id: [busy, started, removed] });
      await hostLeftovers.remove(tx, { targetId: removed });
    });
  });

  it('lets a VM and a volume go whose host is proven dead, so that the host can be removed; that clears them if it is back', async () => {
    const { store } = world;
    const { id } = (await vms.find(store.db, { name: 'local' }))!;
    const disk = (await volumes.find(store.db, { name: 'own-disk' }))!;
    await store.transaction((tx) => vms.set(tx, { id }, { state: 'unknown' }));
    const deleteVm = () => admin().call(vmOperations.delete, { params: { vm: id }, query: { ...query, purge: true } });
    const { endedAt } = (await fenceProofs.find(store.db, { hostId: h1.id }))!;
    assert.equal(endedAt, null);
    await store.transaction((tx) => fenceProofs.set(tx, { hostId: h1.id }, { endedAt: 1 }));
    await assert.rejects(deleteVm(), refused('wrong-state', /may still be running there/));
    const spare = await store.transaction((tx) => insertVolume(tx, projectId, 'spare', disk.poolId, { hostId: h1.id }));
    const deleteVolume = () => admin().call(volumeOperations.delete, { params: { volume: spare.id }, query });
    await assert.rejects(deleteVolume(), refused('host-unreachable', /h1/));
    await store.transaction((tx) => fenceProofs.set(tx, { hostId: h1.id }, { endedAt: null }));

    const params = async (taskId: string) => (await tasks.get(store.db, taskId)).params;
    const gone = { vmId: id, hostId: null, stop: false, purge: true, purgeAt: null };
    const deleteVolumes = [{ volumeId: disk.id, hostId: h1.id }];
    assert.deepEqual(await params((await deleteVm()).id), { ...gone, deleteVolumes });
    const noted = (await hostLeftovers.select(store.db, { hostId: h1.id })).map((row) => [row.kind, row.targetId]);
    assert.deepEqual(noted, [['domain', id]]);
    assert.deepEqual(await params((await deleteVolume()).id), { volumeId: spare.id, hostId: h1.id });
    await assert.rejects(deleteVm(), refused('busy', /locked/));
  });

  it('shows incidents with their timelines', async () => {
    const incidentId = world.env.ids.uuid();
    await world.store.transaction(async (tx) => {
      const about = { hostId: h1.id, hostName: 'h1', state: 'dead', because: 'silent', alarms: ['host-lost'] };
      await haIncidents.insert(tx, { id: incidentId, clusterId, ...about, openedAt: 1000, closedAt: null });
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
    const { store } = world;
    const gone = await store.transaction(async (tx) => {
      const row = await insertHost(tx, clusterId, 'gone');
      await hosts.set(tx, { id: row.id }, { state: 'down' });
      const about = { hostId: row.id, hostName: 'gone', state: 'fenced', because: 'silent', alarms: [] };
      await haIncidents.insert(tx, { id: world.env.ids.uuid(), clusterId, ...about, openedAt: 1000, closedAt: null });
      return row;
    });
    const away = await vm('away', { hostId: h2.id, state: 'stopped' });
    const params = { vmId: away.id, fromHostId: gone.id, toHostId: h2.id, proofId: null, paused: false };
    const target = { kind: 'vm', id: away.id, name: away.name };
    const { id: taskId } = await store.transaction((tx) =>
      enqueueTask(tx, world.env, { kind: 'vm-restart', params, target, projectId, userId: null }),
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
