/** Tenants read no names of hosts, in whatever words: events, tasks, the state of a VM, refusals. Operators read them. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { type Event, eventOperations } from '@kvasir/api/resources/event.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { volumeOperations } from '@kvasir/api/resources/volume.ts';
import { appendEvent, lastEventSeq } from '../store/events.ts';
import type { HostRow } from '../store/hosts.ts';
import { tasks } from '../store/tasks.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertPool, insertVm, insertVolume } from './testing/inventory.ts';

forEachDatabase('names of hosts', (open) => {
  let world: ApiWorld;
  let h1: HostRow;
  let vmId: string;
  let taskId: string;
  let before_: number;
  const query = { project: 'shop' };
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });

  before(async () => {
    world = await openApiWorld(await open());
    const { store, env } = world;
    await store.transaction(async (tx) => {
      const clusterId = await defaultClusterId(tx);
      const { id: projectId } = await insertProject(tx, world, 'shop');
      h1 = await insertHost(tx, clusterId, 'h1', { address: '192.0.2.81', state: 'down' });
      await insertHost(tx, clusterId, 'h1.rack-2');
      const stateReason = 'waits for host h1, which is being woken';
      const vm = await insertVm(tx, projectId, 'h1', clusterId, {
        hostId: h1.id,
        stateReason,
        description: 'not on h1',
      });
      vmId = vm.id;
      const target = { kind: 'vm', id: vm.id, name: vm.name };
      const pool = await insertPool(tx, clusterId, 'tin', [h1.id], false);
      await insertVolume(tx, projectId, 'local', pool.id, { hostId: h1.id });
      const params = { vmId: vm.id, paused: false };
      taskId = (await enqueueTask(tx, env, { kind: 'vm-start', params, target, projectId, userId: null })).id;
      const error = { code: 'host-unreachable', message: 'The host "h1" is not connected', details: {} } as const;
      await tasks.set(tx, { id: taskId }, { state: 'failed', error });
      before_ = await lastEventSeq(tx);
      await appendEvent(tx, {
        at: 1,
        kind: 'ha.vm-restarted',
        message: `VM h1 was restarted on h1.rack-2 by high availability: h1: is down (${h1.id} at 192.0.2.81:7443)`,
        details: { hostId: h1.id, downtimeMs: 5, why: 'h1 is down' },
        target,
        projectId,
      });
    });
  });
  after(() => world.close());

  const told = 'VM h1 was restarted on a host by high availability: a host: is down (a host at a host:7443)';

  async function events(who: Person): Promise<{ listed: Event; watched: Event }> {
    const client = as(who);
    const { items } = await client.call(eventOperations.list, { query: { after: before_, kind: 'ha.vm-restarted' } });
    const watched = (await client.watchEvents({ after: before_ }).next()).value as Event;
    return { listed: items[0]!, watched };
  }

  it('are no part of the events that a tenant lists or watches', async () => {
    const { listed, watched } = await events('viewer');
    assert.equal(listed.message, told);
    assert.deepEqual(listed.details, { downtimeMs: 5, why: 'a host is down' });
    assert.equal(listed.target?.name, 'h1', 'what the tenant has named so');
    assert.deepEqual(watched, listed);
    const full = await events('system-viewer');
    assert.match(full.listed.message, /on h1\.rack-2 by/);
    assert.equal(full.listed.details.hostId, h1.id);
    assert.deepEqual(full.watched, full.listed);
  });

  it('are no part of what is said of a task or of a VM', async () => {
    const seen = async (who: Person) => {
      const { error } = await as(who).call(taskOperations.get, { params: { task: taskId } });
      const { items } = await as(who).call(taskOperations.list, { query });
      const vm = await as(who).call(vmOperations.get, { params: { vm: vmId }, query });
      return [error?.message, items[0]?.error?.message, vm.stateReason, vm.description];
    };
    const hidden = 'The host is not connected';
    assert.deepEqual(await seen('member'), [hidden, hidden, 'waits for host, which is being woken', 'not on h1']);
    const full = 'The host "h1" is not connected';
    assert.deepEqual(await seen('system-viewer'), [full, full, 'waits for host h1, which is being woken', 'not on h1']);
  });

  it('are no part of a refusal', async () => {
    const refusal = async (who: Person) => {
      const params = { volume: 'local' };
      const error: unknown = await as(who)
        .call(volumeOperations.delete, { params, query })
        .catch((thrown) => thrown);
      assert.ok(error instanceof KvasirError && error.code === 'host-unreachable', String(error));
      return error.message;
    };
    assert.equal(await refusal('member'), 'The host is not connected');
    assert.equal(await refusal('system-admin'), 'The host "h1" is not connected');
  });

  it('are no part of what a console is refused with, whoever has the ticket', async () => {
    const grant = { vmId, hostId: h1.id, kind: 'serial', userId: world.userIds.member } as const;
    const { ticket } = world.env.tickets.issue(grant);
    world.links.openConsole = () => Promise.reject(new KvasirError('host-unreachable', { host: 'h1' }));
    const { hostname, port } = new URL(world.baseUrl);
    const lines = [
      `GET /v1/vms/${vmId}/console HTTP/1.1`,
      `Host: ${hostname}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Protocol: kvasir.console, kvasir.ticket.${ticket}`,
    ];
    const socket = connect(Number(port), hostname);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    assert.match(await text(socket), /^HTTP\/1\.1 503 [^]*"message":"The host is not connected"/);
  });
});
