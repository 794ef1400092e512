/** What may be done with the VMs and volumes of a host that is dead, before and after it is proven. */
import assert from 'node:assert/strict';
import { before, it } from 'node:test';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { volumeOperations } from '@kvasir/api/resources/volume.ts';
import { fenceProofs } from '../store/fence-proofs.ts';
import { haRestarts } from '../store/ha-incidents.ts';
import { hostLeftovers } from '../store/host-leftovers.ts';
import { tasks } from '../store/tasks.ts';
import { volumes } from '../store/volumes.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { haApi, query } from './testing/ha-api.ts';
import { attachRow, insertVolume } from './testing/inventory.ts';
import { refused } from './testing/refused.ts';

forEachDatabase('a dead host', (open) => {
  const api = haApi(open);
  const { admin, vm, loseH1, confirmOff } = api;

  before(async () => {
    await loseH1();
    await confirmOff();
  });

  it('lets a VM of a dead host be started or deleted once high availability has given it up', async () => {
    const { store, env } = api.world;
    const restarting = async (name: string, state: 'waiting' | 'failed') => {
      const { id } = await vm(name, { state: 'unknown' });
      const about = { vmId: id, incidentId: env.ids.uuid(), fromHostId: api.h1.id, toHostId: null, taskId: null };
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
  });

  it('lets a VM and a volume go whose host is proven dead, so that the host can be removed; that clears them if it is back', async () => {
    const { store } = api.world;
    const disk = (await volumes.find(store.db, { name: 'own-disk' }))!;
    const { id } = await vm('local', { state: 'unknown' });
    await store.transaction((tx) => attachRow(tx, id, disk.id));
    const deleteVm = () => admin().call(vmOperations.delete, { params: { vm: id }, query: { ...query, purge: true } });
    await store.transaction((tx) => fenceProofs.set(tx, { hostId: api.h1.id }, { endedAt: 1 }));
    await assert.rejects(deleteVm(), refused('wrong-state', /may still be running there/));
    const spare = await store.transaction((tx) =>
      insertVolume(tx, api.projectId, 'spare', disk.poolId, { hostId: api.h1.id }),
    );
    const deleteVolume = () => admin().call(volumeOperations.delete, { params: { volume: spare.id }, query });
    await assert.rejects(deleteVolume(), refused('host-unreachable', /h1/));
    await store.transaction((tx) => fenceProofs.set(tx, { hostId: api.h1.id }, { endedAt: null }));

    const params = async (taskId: string) => (await tasks.get(store.db, taskId)).params;
    const gone = { vmId: id, hostId: null, stop: false, purge: true, purgeAt: null };
    const deleteVolumes = [{ volumeId: disk.id, hostId: api.h1.id }];
    assert.deepEqual(await params((await deleteVm()).id), { ...gone, deleteVolumes });
    const noted = (await hostLeftovers.select(store.db, { hostId: api.h1.id, targetId: id })).map((row) => [
      row.kind,
      row.targetId,
    ]);
    assert.deepEqual(noted, [['domain', id]]);
    assert.deepEqual(await params((await deleteVolume()).id), { volumeId: spare.id, hostId: api.h1.id });
    await assert.rejects(deleteVm(), refused('busy', /locked/));
  });
});
