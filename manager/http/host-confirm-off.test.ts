/** An operator's word that a host is off, through the API: when it is refused, and what it allows. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { validProof } from '../store/fence-proofs.ts';
import { hostHa, setHostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { haApi, query } from './testing/ha-api.ts';
import { refused } from './testing/refused.ts';

forEachDatabase('an operator’s word', (open) => {
  const api = haApi(open);
  const { admin, vm, loseH1, confirmOff } = api;

  it('takes no word that a host is off which is up, or which a new manager has not missed yet', async () => {
    await assert.rejects(confirmOff(), refused('wrong-state', /has only just begun to listen; say it again/));
    const { signals } = api.world.env;
    const { lastHeartbeatMs } = signals;
    signals.lastHeartbeatMs = () => Date.now();
    await assert.rejects(confirmOff(), refused('wrong-state', /while it is up$/));
    signals.lastHeartbeatMs = lastHeartbeatMs;
  });

  it('takes no word about a silent host from a manager that does not hear those that might see it', async () => {
    const { store } = api.world;
    const { signals } = api.world.env;
    const { lastHeartbeatMs } = signals;
    const state = (of: 'up' | 'down') => store.transaction((tx) => hosts.set(tx, { id: api.h1.id }, { state: of }));
    await state('down');
    await assert.rejects(confirmOff(), refused('wrong-state', /does not hear h2, which may see it/));
    assert.equal(await validProof(store.db, api.h1.id), undefined);
    const report = {
      own: [],
      seen: [],
      peers: [{ hostId: api.h1.id, heardMsAgo: 10 }],
      uplinks: [],
      bootId: 'boot',
      guard: 'none' as const,
    };
    signals.lastHeartbeatMs = (id) => (id === api.h2.id ? Date.now() : undefined);
    signals.liveness = (id) => (id === api.h2.id ? { report, atMs: Date.now() } : undefined);
    await assert.rejects(confirmOff(), refused('wrong-state', /other hosts hear it/));
    signals.liveness = () => undefined;
    signals.lastHeartbeatMs = lastHeartbeatMs;
    await state('up');
  });

  it('takes no word about a host that is switched off to save power', async () => {
    await api.world.store.transaction(async (tx) => {
      await hosts.set(tx, { id: api.h1.id }, { state: 'down' });
      await setHostHa(tx, api.h1.id, { state: 'standby', because: null, since: 0 });
    });
    await assert.rejects(confirmOff(), refused('wrong-state', /in standby: it carries no VM$/));
    await api.world.store.transaction(async (tx) => {
      await hosts.set(tx, { id: api.h1.id }, { state: 'up' });
      await hostHa.remove(tx, { hostId: api.h1.id });
    });
    assert.equal(await validProof(api.world.store.db, api.h1.id), undefined);
  });

  it('takes no word where the policy of the cluster leaves it out', async () => {
    await loseH1();
    const fencing = (...ha: ('ipmi' | 'lease' | 'operator')[]) =>
      admin().call(clusterOperations.update, { params: { cluster: 'default' }, body: { ha: { fencing: ha } } });
    await fencing('ipmi', 'lease');
    await assert.rejects(confirmOff(), refused('unsupported', /ha\.fencing.* of cluster "default" .*\(ipmi, lease\)/));
    await fencing();
    await assert.rejects(confirmOff(), refused('unsupported', /\(nothing\)/));
    assert.equal(await validProof(api.world.store.db, api.h1.id), undefined);
    await fencing('ipmi', 'lease', 'operator');
  });

  it('takes a word about a silent host, and starts VMs elsewhere by it', async () => {
    const { id } = await vm('stopped-before', { state: 'unknown', desiredState: 'stopped' });
    await loseH1();
    const start = () => admin().call(vmOperations.start, { params: { vm: id }, query, body: {} });
    await assert.rejects(start(), refused('wrong-state', /may still be running/));
    await confirmOff();
    assert.equal((await validProof(api.world.store.db, api.h1.id))?.kind, 'operator');
    const task = await start();
    assert.equal(task.kind, 'vm-restart');
    assert.equal((await vms.get(api.world.store.db, id)).reservedHostId, api.h2.id);
    await assert.rejects(start(), refused('busy', /locked/));
    const near = await vm('near', { state: 'unknown', desiredState: 'stopped', affinity: ['near'] });
    await vm('near-too', { state: 'unknown', desiredState: 'stopped', affinity: ['near'] });
    const started = await admin().call(vmOperations.start, { params: { vm: near.id }, query, body: {} });
    assert.equal(started.kind, 'vm-restart', 'its group is left on the dead host');
  });
});
