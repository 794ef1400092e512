/** How a cluster and its VMs want to be treated when something fails, through the API. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { haApi, query } from './testing/ha-api.ts';
import { refused } from './testing/refused.ts';

forEachDatabase('settings of high availability', (open) => {
  const api = haApi(open);
  const { admin, vm } = api;

  it('takes a part of a policy and keeps the rest; refuses times that do not go together', async () => {
    const send = (ha: object) =>
      admin().call(clusterOperations.update, { params: { cluster: api.clusterId }, body: { ha } });
    const { ha } = await send({ isolation: 'restart', maxParallelRestarts: 3 });
    assert.deepEqual([ha.isolation, ha.maxParallelRestarts, ha.enabled], ['restart', 3, true]);
    const next = await send({ maxParallelRestarts: 4 });
    assert.deepEqual([next.ha.isolation, next.ha.maxParallelRestarts], ['restart', 4]);
    await assert.rejects(send({ fenceAfterMs: 2000 }), refused('invalid-request', /fenceAfterMs/));
    await assert.rejects(send({ suspectAfterMs: 1000 }), refused('invalid-request', /suspectAfterMs/));
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
  });
});
