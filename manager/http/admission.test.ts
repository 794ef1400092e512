/** Room for the VMs of failed hosts is kept, through the API: off, told of, enforced; spare hosts stay empty. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { admissionOperations } from '@kvasir/api/resources/admission.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { clusters } from '../store/clusters.ts';
import { eventsAfter } from '../store/events.ts';
import { setClusterHa } from '../store/ha-settings.ts';
import { tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertVm } from './testing/inventory.ts';

forEachDatabase('room for failed hosts', (open) => {
  let world: ApiWorld;
  let clusterId: string;
  let projectId: string;
  const query = { project: 'shop' };
  const client = (role = 'system-admin') =>
    createClient({ baseUrl: world.baseUrl, token: world.tokens[role as 'system-admin'] });
  const show = () => client().call(admissionOperations.showAdmission, { params: { cluster: 'default' } });
  const start = (id: string) => client().call(vmOperations.start, { params: { vm: id }, query, body: {} });
  const set = (policy: Parameters<typeof setClusterHa>[2]['policy']) =>
    world.store.transaction((tx) => setClusterHa(tx, clusterId, { policy: policy! }));
  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      clusterId = await defaultClusterId(tx);
      await clusters.set(tx, { id: clusterId }, { memoryReservedMib: 0 });
      projectId = (await insertProject(tx, world, 'shop')).id;
      const h1 = await insertHost(tx, clusterId, 'h1', { memoryMib: 1000 });
      await insertHost(tx, clusterId, 'h2', { memoryMib: 1000 });
      const on = { hostId: h1.id, cpus: 1, memoryMib: 500, desiredState: 'running' as const, cpuModel: 'host' };
      await insertVm(tx, projectId, 'web', clusterId, { ...on, state: 'running' });
      await insertVm(tx, projectId, 'db', clusterId, { ...on, state: 'running' });
    });
  });
  after(() => world.close());
  const stopped = async (name: string) => {
    const { hostId } = (await vms.find(world.store.db, { name: 'web' }))!;
    const h2 = (
      await world.store.db.selectFrom('hosts').select('id').where('name', '=', 'h2').executeTakeFirstOrThrow()
    ).id;
    assert.notEqual(h2, hostId);
    return await world.store.transaction((tx) =>
      insertVm(tx, projectId, name, clusterId, {
        hostId: h2,
        state: 'stopped',
        cpus: 1,
        memoryMib: 100,
        cpuModel: 'host',
      }),
    );
  };

  it('is told, with what would not fit', async () => {
    assert.deepEqual([(await show()).holds, (await show()).mode], [true, 'off']);
    const free = await stopped('free');
    await start(free.id);
    const now = await show();
    assert.equal(now.holds, false);
    assert.match(now.because, /^if h1 died, 1 VM \(500 MiB\) would not fit: web \(h2: 400 MiB free of 500 asked\)/);
    assert.deepEqual(
      now.failures.map(({ hosts, vms: count }) => [hosts, count]),
      [
        [['h1'], 2],
        [['h2'], 1],
      ],
    );
  });

  it('enforced, what would take it is refused and nothing is begun; warned of, it is told', async () => {
    await set({ admission: 'enforce' });
    const late = await stopped('late');
    const began = await tasks.count(world.store.db);
    await assert.rejects(start(late.id), (error) => {
      assert.ok(error instanceof KvasirError);
      assert.deepEqual([error.code, error.status], ['no-room-for-failover', 422]);
      assert.match(error.message, /if h1 died/);
      return true;
    });
    const body = { name: 'new', memoryMib: 64, cpus: 1 };
    await assert.rejects(client().call(vmOperations.create, { query, body }), /no longer have room/);
    assert.equal(await vms.count(world.store.db, { name: 'new' }), 0);
    assert.equal(await tasks.count(world.store.db), began);
    assert.equal((await vms.get(world.store.db, late.id)).desiredState, late.desiredState);
    await set({ admission: 'warn' });
    await start(late.id);
    const events = await eventsAfter(world.store.db, 0, { limit: 1000 });
    assert.ok(events.some(({ kind }) => kind === 'ha.no-room-for-failover'));
  });

  it('spare hosts take no VM that could go elsewhere', async () => {
    await world.store.transaction((tx) => insertHost(tx, clusterId, 'h3', { memoryMib: 9000 }));
    await set({ admission: 'enforce', admissionBy: 'spare-hosts', admissionSpareHosts: ['h3'] });
    await client().call(vmOperations.create, { query, body: { name: 'small', memoryMib: 64, cpus: 1 } });
    const { hostId } = (await vms.find(world.store.db, { name: 'small' }))!;
    const row = await world.store.db.selectFrom('hosts').select('name').where('id', '=', hostId!).executeTakeFirst();
    assert.notEqual(row?.name, 'h3');
  });
});
