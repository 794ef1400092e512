/** The slice of the distributed switch on disk and in force: whatever is cut off in between, the newest wins and nothing is forgotten. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import { poolApply } from '@kvasir/api/agent/host.ts';
import { networkApply } from '@kvasir/api/agent/network.ts';
import { emptySlice, type NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { emptyOutline } from '@kvasir/api/agent/slice-outline.ts';
import { MemoryServed } from '../journal/served.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { noLog } from '../log.ts';
import { serveAgain } from '../reconcile.ts';
import { fakeDrivers } from '../testing/fake-drivers.ts';
import type { HandlerCall, HostContext } from './handler.ts';
import { hostHandlers } from './host.ts';

const named = (groupId: string): NetworkSlice => ({ ...emptySlice, groups: [{ groupId, name: groupId, rules: [] }] });
const [first, second, third] = [named('first'), named('second'), named('third')];

/** As the slice travels. */
function sent(generation: number, { groups }: NetworkSlice): ParamsOf<typeof networkApply> {
  const documents = groups.map((group) => ({ digest: group.groupId, content: { group } }));
  return { generation, outline: { ...emptyOutline, groups: documents.map(({ digest }) => digest) }, documents };
}

/** An agent's process: what it serves outlives it. */
function agent(served = new MemoryServed(), bootId = 'boot-1') {
  const drivers = fakeDrivers();
  const identity = { hostId: 'h1' };
  const context = { drivers, served, identity, bootId, locks: new KeyedLock() } as unknown as HostContext;
  const { run } = hostHandlers(context).find(({ method }) => method === networkApply)!;
  const apply = (generation: number, slice: NetworkSlice) => run(sent(generation, slice), {} as HandlerCall);
  return { drivers, served, apply, serveAgain: () => serveAgain(context, noLog) };
}

it('a slice is on disk before it is in force, together with the one that it takes the place of', async () => {
  const { drivers, served, apply } = agent();
  await apply(1, first);
  const gate = Promise.withResolvers<void>();
  drivers.network.gate = gate.promise;
  drivers.network.apply = async (generation, slice) => {
    assert.deepEqual(served.lists.networks, { generation, bootId: 'boot-1', slice, before: first });
    await gate.promise;
    return [];
  };
  const applied = apply(2, second);
  gate.resolve();
  await applied;
  assert.deepEqual(served.lists.networks, { generation: 2, bootId: 'boot-1', slice: second, before: null });
});

it('an agent that ended in between applies the newer one, and knows what was in force', async () => {
  const dying = agent();
  await dying.apply(1, first);
  dying.drivers.network.gate = new Promise(() => {});
  void dying.apply(2, second);
  while (dying.drivers.network.applied?.generation !== 2) await Promise.resolve();
  const next = agent(dying.served);
  await next.serveAgain();
  assert.deepEqual(next.drivers.network.applied, { generation: 2, slice: second, before: first });
  assert.deepEqual(next.served.lists.networks, { generation: 2, bootId: 'boot-1', slice: second, before: null });
});

it('one that fails is kept, and the next one still knows what was in force', async () => {
  const { drivers, served, apply } = agent();
  await apply(1, first);
  drivers.network.gate = Promise.reject(new Error('the switch is away'));
  await assert.rejects(apply(2, second), /away/);
  assert.deepEqual(served.lists.networks, { generation: 2, bootId: 'boot-1', slice: second, before: first });
  drivers.network.gate = Promise.resolve();
  await apply(3, third);
  assert.deepEqual(drivers.network.applied, { generation: 3, slice: third, before: first });
});

it('a host that was booted translates for no router before it is told to: another one may have taken over', async () => {
  const gateway = { here: true, vtep: '10.0.0.1', externalNetworkId: 'x', macAddress: '52:54:00:00:00:02' };
  const outer = { address: '203.0.113.2', prefixLength: 24, nextHop: null, snat: true, floating: [] };
  const inner = { routerId: 'r', name: 'edge', macAddress: '52:54:00:00:00:01', interfaces: [] };
  const slice = { ...emptySlice, routers: [{ ...inner, gateway: { ...gateway, ...outer } }] };
  const served = new MemoryServed();
  await served.set({ networks: { generation: 1, bootId: 'boot-1', slice } });
  const same = agent(served);
  await same.serveAgain();
  assert.deepEqual(same.drivers.network.applied?.slice, slice);
  const booted = agent(served, 'boot-2');
  await booted.serveAgain();
  assert.deepEqual(booted.drivers.network.applied?.slice.routers, [{ ...inner, gateway: null }]);
  const again = agent(served, 'boot-2');
  await again.serveAgain();
  assert.deepEqual(again.drivers.network.applied?.slice.routers, [{ ...inner, gateway: null }]);
});

it('an older one is refused, also by an agent that has not applied any', async () => {
  const { apply, served } = agent();
  await apply(5, first);
  const next = agent(served);
  await assert.rejects(next.apply(4, second), { code: 'wrong-state' });
  assert.deepEqual([next.drivers.network.applied, served.lists.networks?.generation], [null, 5]);
  await next.apply(5, first);
});

it('what was cut is answered', async () => {
  const { drivers, apply } = agent();
  assert.deepEqual(await apply(1, first), { generation: 1, missing: [] });
  const cut = { opened: 'in', address: '10.0.0.1', port: 80, remote: null } as const;
  drivers.network.cuts = [{ nicId: 'nic', guestVlan: null, cuts: [cut] }];
  assert.deepEqual(await apply(2, second), { generation: 2, missing: [], cuts: drivers.network.cuts });
});

it('the plan of the leases holds also for pools that come after it', async () => {
  const drivers = fakeDrivers();
  const context = { drivers, served: new MemoryServed(), identity: { hostId: 'h1' }, locks: new KeyedLock() };
  const handlers = hostHandlers(context as unknown as HostContext);
  const { run } = handlers.find(({ method }) => method === poolApply)!;
  const pool = { poolId: 'gold', name: 'gold', kind: 'directory' as const, path: '/srv/gold', shared: true };
  await run({ pools: [{ ...pool, initialize: false }] }, {} as HandlerCall);
  assert.deepEqual(drivers.liveness.places, [{ poolId: 'gold', path: '/srv/gold' }]);
});
