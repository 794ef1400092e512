import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { vmUndefine } from '@kvasir/api/agent/vm.ts';
import { systemIds } from '../ids.ts';
import { openSqlite } from '../testing/databases.ts';
import { HostWorld } from './testing/host-world.ts';

let opened: Awaited<ReturnType<typeof openSqlite>>;
let world: HostWorld;
before(async () => {
  opened = await openSqlite();
  world = await HostWorld.open(opened.store);
});
after(async () => {
  await world.hosts.close();
  await opened.close();
});

const changes = (agent: { readonly requests: readonly { readonly method: string; readonly params: unknown }[] }) =>
  agent.requests
    .filter(({ method }) => method === vmUndefine.name)
    .map(({ params }) => (params as { key: string }).key);

it('a change that was under way when the link broke is sent again on the next one', async () => {
  const hostId = await world.addHost('h1');
  const agent = await world.connect(hostId);
  agent.answers.set(vmUndefine.name, () => new Promise(() => {}));
  const call = world.hosts.calls.call(hostId, vmUndefine, { vmId: systemIds.uuid() }, { key: 'task/undefine' });
  await world.settle();
  agent.peer.close('the link broke');
  await world.settle();
  const next = world.dial(hostId);
  next.answers.set(vmUndefine.name, () => ({}));
  await next.peer.call('hello', world.hello(hostId));
  await call;
  assert.deepEqual([changes(agent), changes(next)], [['task/undefine'], ['task/undefine']]);
});

it('but not when this manager leads anew: another one may have taken back what it belongs to', async () => {
  const hostId = await world.addHost('h2');
  const agent = await world.connect(hostId);
  agent.answers.set(vmUndefine.name, () => new Promise(() => {}));
  const call = world.hosts.calls.call(hostId, vmUndefine, { vmId: systemIds.uuid() }, { key: 'task/undefine' });
  const refused = assert.rejects(call, { code: 'not-leader' });
  await world.settle();
  world.epoch = undefined;
  await world.pass(1);
  await agent.peer.ended;
  await world.lead(5);
  const next = world.dial(hostId);
  next.answers.set(vmUndefine.name, () => ({}));
  await next.peer.call('hello', world.hello(hostId));
  await world.settle();
  assert.deepEqual([changes(agent), changes(next)], [['task/undefine'], []]);
  await refused;
});
