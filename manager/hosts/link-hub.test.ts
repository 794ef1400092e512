import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { poolReport } from '@kvasir/api/agent/host.ts';
import { vmList } from '@kvasir/api/agent/vm.ts';
import { systemIds } from '../ids.ts';
import { networks, plainNetwork, plainPort, ports } from '../store/networks.ts';
import { clusters } from '../store/clusters.ts';
import { poolHosts, pools } from '../store/pools.ts';
import { projects } from '../store/projects.ts';
import { firstRevision } from '../store/versioned.ts';
import { openSqlite } from '../testing/databases.ts';
import { HostWorld, report } from './testing/host-world.ts';

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

const nonsense: Record<string, { readonly method: string; readonly params: unknown }> = {
  'a heartbeat that is none': { method: 'heartbeat', params: { seq: 'one' } },
  'a domain without a name': { method: 'domain-changed', params: { domain: {}, removed: false, because: null } },
  'an unknown notification': { method: 'make-me-leader', params: {} },
};
for (const [name, { method, params }] of Object.entries(nonsense)) {
  it(`closes the link of an agent that sends ${name}, with an event`, async () => {
    const hostId = await world.addHost(`evil-${systemIds.uuid().slice(0, 8)}`);
    const agent = await world.connect(hostId);
    agent.peer.notify(method, params);
    await agent.peer.ended;
    await world.settle();
    const events = (await world.events('host.protocol-error')).filter((event) => event.targetId === hostId);
    assert.equal(events.length, 1);
    assert.equal(world.hosts.isConnected(hostId), false);
  });
}

it('closes the link of an agent that answers out of the contract', async () => {
  const hostId = await world.addHost('odd-answers');
  const agent = await world.connect(hostId);
  agent.answers.set('pool.report', () => ({ pools: [{ poolId: 'x' }] }));
  await assert.rejects(world.hosts.calls.call(hostId, poolReport, {}), { code: 'host-failed' });
  assert.match((await agent.peer.ended).reason, /answer to pool.report/);
});

it('takes nothing before hello, and no hello of another host', async () => {
  const [hostId, other] = [await world.addHost('early'), await world.addHost('other')];
  const early = world.dial(hostId);
  early.beat();
  assert.match((await early.peer.ended).reason, /before hello/);
  const wrong = world.dial(hostId);
  await assert.rejects(wrong.peer.call('hello', world.hello(other)));
  await wrong.peer.ended;
  const old = world.dial(hostId);
  await assert.rejects(old.peer.call('hello', { ...world.hello(hostId), protocol: 99 }), { code: 'unsupported' });
  assert.equal((await world.host(hostId)).state, 'joining');
});

it('leaves a host with the agent that beats: a second one with a copied identity is refused, and told of once', async () => {
  const hostId = await world.addHost('twin');
  const vm = await world.addVm({ hostId });
  const first = await world.connect(hostId, [report(vm)]);
  await world.pass(3, [first]);
  for (let tries = 0; tries < 3; tries += 1) {
    await assert.rejects(world.connect(hostId), { code: 'wrong-state' });
    await world.pass(1, [first]);
  }
  assert.deepEqual([(await world.vm(vm.id)).state, world.hosts.isConnected(hostId)], ['running', true]);
  assert.equal((await world.events('host.second-agent')).length, 1);
  // Its process began anew before the end of the old link was heard of.
  await world.pass(3);
  const later = await world.connect(hostId, [report(vm, { state: 'paused' })], 'a0000000-0000-4000-8000-000000000001');
  assert.match((await first.peer.ended).reason, /newer link/);
  assert.equal((await world.vm(vm.id)).state, 'paused');
  const sameProcess = await world.connect(hostId, [report(vm)], 'a0000000-0000-4000-8000-000000000001');
  await later.peer.ended;
  assert.equal((await world.events('host.second-agent')).length, 1);
  assert.equal(world.hosts.isConnected(hostId), true);
  assert.deepEqual((await world.hosts.calls.call(hostId, vmList, {})).domains, [report(vm)]);
  assert.ok(sameProcess.requests.some(({ method }) => method === 'vm.list'));
});

it('calls a host down whose link is open but silent, and asks anew when it beats again', async () => {
  const hostId = await world.addHost('hung');
  const vm = await world.addVm({ hostId });
  const agent = await world.connect(hostId, [report(vm)]);
  await world.passUntilDown(hostId);
  assert.equal((await world.host(hostId)).state, 'down');
  agent.domains = [report(vm, { state: 'paused' })];
  agent.beat();
  await world.pass(1, [agent]);
  assert.deepEqual([(await world.host(hostId)).state, (await world.vm(vm.id)).state], ['up', 'paused']);
  await world.pass(30);
  assert.match((await agent.peer.ended).reason, /no heartbeats/);
});

it('does not blame the hosts when the manager itself was held up', async () => {
  const hostId = await world.addHost('innocent');
  const agent = await world.connect(hostId);
  await world.pass(2, [agent]);
  world.clock.stall(20_000);
  await world.pass(3);
  assert.equal((await world.host(hostId)).state, 'up');
  await world.pass(2, [agent]);
  assert.equal((await world.host(hostId)).state, 'up');
});

it('calls a host down also when the clock is set back', async () => {
  const hostId = await world.addHost('gone-before');
  const agent = await world.connect(hostId);
  await world.pass(2, [agent]);
  assert.notEqual(world.hosts.lastHeardMs(hostId), undefined);
  world.clock.setBack(600_000);
  assert.equal(world.hosts.lastHeardMs(hostId), undefined, 'not heard by the clock that counts now');
  await world.pass(20);
  assert.equal((await world.host(hostId)).state, 'down');
});

it('gives hosts time to come back to a manager that starts', async () => {
  const [back, gone] = [await world.addHost('back'), await world.addHost('gone')];
  await world.connect(back);
  await world.connect(gone);
  await world.hosts.close();
  await world.startManager();
  await world.pass(8);
  assert.deepEqual([(await world.host(back)).state, (await world.host(gone)).state], ['up', 'up']);
  const agent = await world.connect(back);
  await world.passUntilDown(gone, [agent]);
  assert.deepEqual([(await world.host(back)).state, (await world.host(gone)).state], ['up', 'down']);
});

it('has no links and calls nobody down while another manager leads', async () => {
  const hostId = await world.addHost('elsewhere');
  const agent = await world.connect(hostId);
  await world.pass(1, [agent]);
  world.epoch = undefined;
  await world.pass(1);
  assert.match((await agent.peer.ended).reason, /does not lead/);
  await assert.rejects(world.connect(hostId), { code: 'not-leader' });
  await world.pass(30);
  assert.equal((await world.host(hostId)).state, 'up');
  await world.lead(4);
  await world.pass(5);
  assert.equal((await world.host(hostId)).state, 'up');
  await world.passUntilDown(hostId);
  assert.equal((await world.host(hostId)).state, 'down');
});

it('sends pools and networks on connect and again only when they changed, the shared marker to one host first', async () => {
  const cluster = (await clusters.select(world.store.db))[0]!;
  const ids = [await world.addHost('aa1'), await world.addHost('aa2')];
  const agents = [await world.connect(ids[0]!), await world.connect(ids[1]!)];
  await world.settle();
  const sent = (method: string) =>
    agents.map((agent) =>
      agent.requests
        .filter((request) => request.method === method)
        .map(({ params }) => (params as { params: Record<string, unknown> }).params),
    );
  assert.deepEqual(
    sent('pool.apply').map((list) => list.length),
    [1, 1],
  );
  const base = {
    ...firstRevision(systemIds.uuid(), 0),
    description: '',
    clusterId: cluster.id,
    kind: 'directory' as const,
  };
  await world.store.transaction((tx) => pools.insert(tx, { ...base, name: 'shared', path: '/shared', shared: true }));
  world.hosts.nudge();
  world.hosts.nudge();
  await world.settle();
  const last = sent('pool.apply').map((list) =>
    (list.at(-1)!['pools'] as { initialize: boolean }[]).map((pool) => pool.initialize),
  );
  assert.deepEqual(last, [[true], [false]]);
  assert.deepEqual(
    sent('pool.apply').map((list) => list.length),
    [2, 2],
  );
  const rows = await poolHosts.select(world.store.db, { poolId: base.id, hostId: ids });
  assert.deepEqual(rows.map(({ reachable, freeMib }) => [reachable, freeMib]).flat(), [true, 50, true, 50]);
  world.hosts.nudge();
  await world.settle();
  assert.deepEqual(
    sent('pool.apply').map((list) => list.length),
    [2, 2],
  );
  const [project] = await projects.select(world.store.db);
  const network = {
    ...firstRevision(systemIds.uuid(), 0),
    name: 'more',
    description: '',
    labels: {},
    projectId: project!.id,
  };
  const more = await world.store.transaction((tx) =>
    networks.insert(tx, { ...network, shared: false, ...plainNetwork, mtu: 1400 }),
  );
  world.hosts.nudge();
  await world.settle();
  const generations = () => sent('network.apply').map((list) => list.map((params) => params['generation'] as number));
  assert.deepEqual(
    generations().map((list) => list.length),
    [1, 1],
    'a network that nobody is on concerns nobody',
  );
  const vm = await world.addVm({ hostId: ids[0]! });
  const nic = { vmId: vm.id, networkId: more.id, macAddress: '52:54:00:99:00:01', model: 'virtio' as const };
  await world.store.transaction((tx) =>
    ports.insert(tx, { ...firstRevision(systemIds.uuid(), 0), ...nic, ...plainPort, connected: true, position: 0 }),
  );
  world.hosts.nudge();
  await world.settle();
  const [first, second] = generations() as [number[], number[]];
  assert.deepEqual([first.length, second.length], [2, 1]);
  assert.ok(first[0]! < first[1]! && first[0]! > 300_000_000);
});
