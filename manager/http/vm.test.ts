/** Rules of VMs that protect people: nothing is started that may run elsewhere, nothing is moved that cannot arrive, nothing in use goes away. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { volumeOperations } from '@kvasir/api/resources/volume.ts';
import { emptyTrash } from '../controllers/trash.ts';
import type { HostRow } from '../store/hosts.ts';
import { hosts } from '../store/hosts.ts';
import { tasks } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './testing/api-world.ts';
import { attachRow, defaultClusterId, insertHost, insertPool, insertVm, insertVolume } from './testing/inventory.ts';
import { refused } from './testing/refused.ts';

forEachDatabase('VMs', (open) => {
  let world: ApiWorld;
  let clusterId: string;
  let projectId: string;
  let h1: HostRow;
  let h2: HostRow;
  let h3: HostRow;
  const query = { project: 'shop' };
  const admin = () => createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });
  const vm = (name: string, facts: Partial<VmRow>) =>
    world.store.transaction((tx) => insertVm(tx, projectId, name, clusterId, { hostId: h1.id, ...facts }));
  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      clusterId = await defaultClusterId(tx);
      projectId = (await insertProject(tx, world, 'shop')).id;
      h1 = await insertHost(tx, clusterId, 'h1', { memoryMib: 4096 });
      h2 = await insertHost(tx, clusterId, 'h2', { memoryMib: 4096 });
      h3 = await insertHost(tx, clusterId, 'h3', { state: 'down' });
      await insertPool(tx, clusterId, 'gold', [h1.id, h2.id]);
      await insertPool(tx, clusterId, 'local', [h1.id], false);
    });
  });
  after(() => world.close());

  it('never starts a VM that may still run on a host that is away', async () => {
    const { id } = await vm('lost', { state: 'unknown', hostId: h3.id });
    const start = admin().call(vmOperations.start, { params: { vm: id }, query });
    await assert.rejects(start, refused('wrong-state', /may still be running/));
    const asleep = await vm('asleep', { state: 'stopped', hostId: h3.id });
    const wake = admin().call(vmOperations.start, { params: { vm: asleep.id }, query });
    await assert.rejects(wake, refused('no-host-fits', /h3: is down/));
    assert.equal(await tasks.count(world.store.db), 0);
    assert.equal((await vms.get(world.store.db, id)).hostId, h3.id);
  });

  it('starts a VM only where its host has room, and one task at a time', async () => {
    const big = await vm('big', { state: 'stopped', memoryMib: 5000, maxMemoryMib: 5000 });
    const start = (id: string) => admin().call(vmOperations.start, { params: { vm: id }, query });
    await assert.rejects(
      start(big.id),
      refused('no-host-fits', /^No host can take this VM: h1: \d+ MiB free of 5000 asked$/),
    );
    const member = createClient({ baseUrl: world.baseUrl, token: world.tokens.member });
    await assert.rejects(
      member.call(vmOperations.start, { params: { vm: big.id }, query }),
      (error: Error) =>
        refused('no-host-fits', /there is not enough room/)(error) && !/h1|MiB free/.test(error.message),
    );
    const small = await vm('small', { state: 'stopped' });
    const task = await start(small.id);
    assert.equal((await vms.get(world.store.db, small.id)).desiredState, 'running');
    await assert.rejects(start(small.id), refused('busy', new RegExp(task.id)));
  });

  it('says how a VM that runs can be deleted all the same', async () => {
    const { id } = await vm('doomed', {});
    const remove = (force: boolean) =>
      admin().call(vmOperations.delete, { params: { vm: id }, query: { ...query, force } });
    await assert.rejects(remove(false), refused('wrong-state', /while it is running: stop it first, or .* force$/));
    assert.equal((await remove(true)).kind, 'vm-delete');
  });

  it('says before a migration why it cannot work', async () => {
    const { id } = await vm('nomad', {});
    const migrate = (body: { host?: string; copyStorage?: boolean }, of = id) =>
      admin().call(vmOperations.migrate, { params: { vm: of }, query, body });
    await assert.rejects(migrate({ host: 'h1' }), refused('migration-impossible', /on that host already/));
    await assert.rejects(migrate({ host: 'h3' }), refused('migration-impossible', /h3: is down/));
    const tied = await vm('tied', {});
    await world.store.transaction(async (tx) => {
      const pool = await insertPool(tx, clusterId, 'tied', [h1.id], false);
      await attachRow(tx, tied.id, (await insertVolume(tx, projectId, 'tied', pool.id, { hostId: h1.id })).id);
    });
    await assert.rejects(
      migrate({ copyStorage: false }, tied.id),
      refused('migration-impossible', /copyStorage is false/),
    );
    await assert.rejects(
      migrate({ host: 'h2' }, tied.id),
      refused('migration-impossible', /h2: does not reach the pool tied/),
    );
    const stopped = await vm('resting', { state: 'stopped' });
    await assert.rejects(migrate({}, stopped.id), refused('wrong-state', /while it is stopped/));
    const task = await migrate({});
    assert.equal(task.kind, 'vm-migrate');
    assert.equal((await vms.get(world.store.db, id)).reservedHostId, h2.id);
    const shown = await admin().call(vmOperations.get, { params: { vm: id }, query });
    assert.equal(shown.taskId, task.id);
  });

  it('keeps a volume that a VM has, and gives names in the trash to others', async () => {
    const { id } = await vm('keeper', { state: 'stopped' });
    const volume = await world.store.transaction(async (tx) => {
      const row = await insertVolume(tx, projectId, 'kept', (await insertPool(tx, clusterId, 'kept', [h1.id])).id);
      await attachRow(tx, id, row.id);
      return row;
    });
    const remove = admin().call(volumeOperations.delete, { params: { volume: volume.id }, query });
    await assert.rejects(remove, refused('in-use', /keeper/));
    await vm('twin', { state: 'trashed', hostId: null, trashedAt: 1, purgeAt: Date.now() + 60_000 });
    await vm('twin', { state: 'stopped' });
    const restore = admin().call(vmOperations.restore, { params: { vm: 'twin' }, query });
    await assert.rejects(restore, refused('wrong-state', /restore/));
  });

  it('empties the trash when the time is over, and not before', async () => {
    const trashed = { state: 'trashed', hostId: null, trashedAt: 1 } as const;
    const due = await vm('due', { ...trashed, purgeAt: Date.now() - 1 });
    const later = await vm('later', { ...trashed, purgeAt: Date.now() + 60_000 });
    assert.equal(await emptyTrash(world.env), 1);
    const [task] = await tasks.select(world.store.db, { targetId: due.id });
    assert.ok(task);
    assert.deepEqual([task.kind, (task.params as { purge: boolean }).purge], ['vm-delete', true]);
    assert.equal(await tasks.count(world.store.db, { targetId: later.id }), 0);
    assert.equal(await emptyTrash(world.env), 0);
  });

  it('restores a VM onto a host that has room now', async () => {
    await world.store.transaction((tx) => hosts.set(tx, { id: h1.id }, { schedulable: false }));
    const { id } = await vm('back', { state: 'trashed', hostId: null, trashedAt: 1, purgeAt: Date.now() + 60_000 });
    await admin().call(vmOperations.restore, { params: { vm: 'back' }, query });
    const row = await vms.get(world.store.db, id);
    assert.deepEqual([row.hostId, row.trashedAt], [h2.id, null]);
    await world.store.transaction((tx) => hosts.set(tx, { id: h1.id }, { schedulable: true }));
  });
});
