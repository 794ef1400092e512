import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gatewayTerm } from '@kvasir/api/agent/gateway-term.ts';
import type { DomainChanged, Hello } from '@kvasir/api/agent/link.ts';
import { emptySlice } from '@kvasir/api/agent/network-slice.ts';
import { memoryLinkPair } from '@kvasir/api/agent/wire/memory-link.ts';
import { Peer } from '@kvasir/api/agent/wire/peer.ts';
import { type Agent, startAgent } from './agent.ts';
import { type Clock, systemClock } from '@kvasir/api/clock.ts';
import { MemoryJournal } from './journal/journal.ts';
import { MemoryServed } from './journal/served.ts';
import { MemoryVmSpecs } from './journal/vm-specs.ts';
import { noLog } from './log.ts';
import { domainReport, type FakeDrivers, fakeDrivers } from './testing/fake-drivers.ts';

const id = (digit: number): string => `00000000-0000-4000-8000-00000000000${digit}`;

interface FakeManager {
  readonly hellos: Hello[];
  readonly changes: DomainChanged[];
  readonly peers: Peer[];
  /** Awaited before each hello is answered. */
  gate: Promise<void>;
  epoch: number;
}

interface Stored {
  readonly specs?: MemoryVmSpecs;
  readonly served?: MemoryServed;
  readonly clock?: Clock;
  readonly dial?: () => Promise<never>;
}

async function start(drivers: FakeDrivers, stored: Stored = {}) {
  const manager: FakeManager = { hellos: [], changes: [], peers: [], gate: Promise.resolve(), epoch: 1 };
  const dial = async () => {
    const [managerSide, agentSide] = memoryLinkPair();
    const peer = new Peer(managerSide, systemClock, 'even', {
      request: async (_method, params) => {
        manager.hellos.push(params as Hello);
        await manager.gate;
        return { managerVersion: 'test', epoch: manager.epoch, nowMs: 0 };
      },
      notification: (method, params) => {
        if (method === 'domain-changed') manager.changes.push(params as DomainChanged);
      },
    });
    manager.peers.push(peer);
    return agentSide;
  };
  const agent: Agent = await startAgent({
    drivers,
    dial: stored.dial ?? dial,
    clock: stored.clock ?? systemClock,
    fraction: () => 0,
    identity: { hostId: id(9), name: 'h1', address: '127.0.0.1' },
    instanceId: id(8),
    journal: new MemoryJournal(),
    specs: stored.specs ?? new MemoryVmSpecs(),
    served: stored.served ?? new MemoryServed(),
    log: noLog,
    hostname: 'h1',
    bootId: 'boot',
    agentVersion: 'test',
    versions: {},
    status: () => ({ load1: 0, freeMemoryMib: 1 }),
  });
  return { agent, manager };
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('waited in vain');
    await systemClock.sleep(1);
  }
}

describe('an agent that starts', () => {
  it('removes the ports of VMs that are not here, and keeps those of VMs that are here or expected', async () => {
    const drivers = fakeDrivers();
    const specs = new MemoryVmSpecs();
    await specs.set({ vmId: id(2), nics: [] } as never);
    drivers.hypervisor.put(domainReport(id(1), { state: 'running' }));
    for (const vm of [1, 2, 3]) await drivers.network.attachPort(id(vm), { nicId: id(vm + 3), networkId: id(0) });
    const { agent } = await start(drivers, { specs });
    assert.deepEqual(
      [...drivers.network.ports.values()].map((port) => port.vmId),
      [id(1), id(2)],
    );
    await agent.close();
  });

  it('makes the ports of running VMs that are missing', async () => {
    const drivers = fakeDrivers();
    const specs = new MemoryVmSpecs();
    const nic = { nicId: id(4), networkId: id(0), macAddress: '52:54:00:00:00:01', model: 'virtio', mtu: 1500 };
    await specs.set({ vmId: id(1), nics: [nic] } as never);
    drivers.hypervisor.put(domainReport(id(1), { state: 'running' }));
    const { agent } = await start(drivers, { specs });
    assert.deepEqual([...drivers.network.ports.keys()], [id(4)]);
    await agent.close();
  });

  it('serves what it was told last, without making a pool anew', async () => {
    const drivers = fakeDrivers();
    const served = new MemoryServed();
    const pool = { poolId: id(1), name: 'p', kind: 'directory', path: '/p', shared: true } as const;
    await served.set({ pools: [pool], networks: { generation: 7, bootId: 'boot', slice: emptySlice } });
    const { agent } = await start(drivers, { served });
    assert.deepEqual(
      [drivers.storage.pools, drivers.network.applied?.generation],
      [[{ ...pool, initialize: false }], 7],
    );
    await agent.close();
  });

  it('ends its gateways when nobody is heard, also for the next start', async (t) => {
    const drivers = fakeDrivers();
    const gateway = { here: true, vtep: '10.0.0.1', externalNetworkId: id(3), macAddress: '52:54:00:00:00:02' };
    const outer = { address: '203.0.113.2', prefixLength: 24, nextHop: null, snat: true, floating: [] };
    const inner = { routerId: id(2), name: 'edge', macAddress: '52:54:00:00:00:01', interfaces: [] };
    const slice = { ...emptySlice, routers: [{ ...inner, gateway: { ...gateway, ...outer } }] };
    const served = new MemoryServed();
    await served.set({ networks: { generation: 7, bootId: 'boot', slice } });
    let now = 0;
    const clock = {
      ...systemClock,
      now: () => now,
      after: (_ms: number, work: () => void) => systemClock.after(1, work),
    };
    const never = () => Promise.reject(new Error('no route to host'));
    const { agent } = await start(drivers, { served, clock, dial: never });
    t.after(() => agent.close());
    assert.equal(served.lists.networks?.slice.routers[0]?.gateway?.here, true);
    now = gatewayTerm.endAfterMs;
    await until(() => drivers.network.gatewaysEnded);
    assert.equal(served.lists.networks?.slice.routers[0]?.gateway, null);
  });

  it('waits for a hypervisor that does not answer yet', async () => {
    const drivers = fakeDrivers();
    let tries = 0;
    drivers.hypervisor.open = async () => {
      tries += 1;
      if (tries === 1) throw new Error('connection refused');
    };
    const { agent, manager } = await start(drivers);
    await until(() => manager.hellos.length === 1);
    assert.equal(tries, 2);
    await agent.close();
  });
});

it('an agent that ends has let go of the switch, or its process would not end', async () => {
  const drivers = fakeDrivers();
  const { agent } = await start(drivers);
  assert.equal(drivers.network.isClosed, false);
  await agent.close();
  assert.equal(drivers.network.isClosed, true);
});

describe('an agent that is linked', () => {
  it('tells what changes while it introduces itself, after the introduction', async () => {
    const drivers = fakeDrivers();
    drivers.hypervisor.put(domainReport(id(1)));
    const { agent, manager } = await start(drivers);
    await until(() => agent.isConnected);
    const gate = Promise.withResolvers<void>();
    manager.gate = gate.promise;
    manager.peers[0]!.close('again');
    await until(() => manager.hellos.length === 2);
    drivers.hypervisor.change(id(1), { state: 'running' });
    drivers.hypervisor.change(id(1), { state: 'paused' });
    assert.equal(manager.changes.length, 0);
    gate.resolve();
    await until(() => manager.changes.length > 0);
    assert.deepEqual(
      manager.changes.map(({ domain }) => domain.state),
      ['paused'],
    );
    await agent.close();
  });

  it('introduces itself with everything after its link broke', async () => {
    const drivers = fakeDrivers();
    const { agent, manager } = await start(drivers);
    await until(() => agent.isConnected);
    manager.peers[0]!.close('network failure');
    drivers.hypervisor.put(domainReport(id(1), { state: 'running' }));
    await until(() => manager.hellos.length === 2);
    assert.deepEqual(
      manager.hellos[1]!.domains.map((domain) => domain.vmId),
      [id(1)],
    );
    assert.equal(manager.hellos[1]!.instanceId, manager.hellos[0]!.instanceId);
    await agent.close();
  });

  it('leaves a manager whose epoch is older than one that it knows', async () => {
    const { agent, manager } = await start(fakeDrivers());
    await until(() => agent.isConnected);
    manager.epoch = 5;
    manager.peers[0]!.close('network failure');
    await until(() => manager.hellos.length === 2 && agent.isConnected);
    manager.epoch = 4;
    manager.peers[1]!.close('network failure');
    await until(() => manager.hellos.length === 3);
    assert.match((await manager.peers[2]!.ended).reason, /gave up/);
    assert.equal(agent.isConnected, false);
    manager.epoch = 5;
    await until(() => agent.isConnected);
    await agent.close();
  });
});
