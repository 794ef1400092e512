/** Who translates for routers, on the store: only hosts that can, another when it is down, and back by itself never. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { gatewayTakeOverAfterMs } from '@kvasir/api/agent/gateway-term.ts';
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { systemIds } from '../ids.ts';
import { eventsAfter } from '../store/events.ts';
import { recordProof } from '../store/fence-proofs.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { networks, plainNetwork } from '../store/networks.ts';
import { routers } from '../store/routers.ts';
import { switches, uplinks } from '../store/switches.ts';
import { firstRevision } from '../store/versioned.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { GatewayReleases } from './gateway-releases.ts';
import { moveGateways } from './gateways.ts';

const fresh = () => firstRevision(systemIds.uuid(), Date.now());
const told = { description: '', labels: {} };

/** A router that leads out on a switch; `h1` and `h2` have uplinks of it and tunnels, `h3` has no uplink, `h4` no tunnel. */
async function routed(world: TaskWorld) {
  const { store, clusterId, projectId, h1, h2 } = world;
  const [h3, h4] = [systemIds.uuid(), systemIds.uuid()];
  return await store.transaction(async (tx) => {
    const on = { clusterId, hostIds: [], defaultBond: 'active-backup' as const, mtu: 1500 };
    const { id: switchId } = await switches.insert(tx, { ...fresh(), ...told, ...on, name: 'outer' });
    const like = await hosts.get(tx, h1);
    for (const [index, id] of [h1, h2, h3, h4].entries()) {
      if (id === h3 || id === h4) await hosts.insert(tx, { ...like, id, name: `more${index}` });
      const tunnelAddress = id === h4 ? null : `172.31.0.${index + 1}`;
      await hosts.set(tx, { id }, { inventory: { tunnelAddress } as HostRow['inventory'] });
      if (id === h3) continue;
      const link = { switchId, hostId: id, nics: ['e1'], bond: null, lacpFast: false };
      await uplinks.insert(tx, { ...fresh(), ...link, name: `up${index}` });
    }
    const outside = { ...plainNetwork, kind: 'vlan' as const, segment: 7, switchId, external: true, shared: true };
    const subnets = [
      {
        ...{ cidr: '203.0.113.0/24', gateway: '203.0.113.1', dhcp: false, dnsServers: [], leaseSeconds: 3600 },
        ...{ allocationFrom: '203.0.113.2', allocationTo: '203.0.113.254' },
      },
    ];
    const network = { ...fresh(), ...told, ...outside, subnets, name: 'outside', projectId, mtu: 1500 };
    await networks.insert(tx, network);
    const way = { externalNetworkId: network.id, externalAddress: '203.0.113.2', snat: true, gatewayHostId: null };
    const macs = { macAddress: '52:54:00:ee:00:00', externalMacAddress: '52:54:00:ee:00:01' };
    const router = await routers.insert(tx, { ...fresh(), ...told, ...way, ...macs, name: 'edge', projectId });
    return router.id;
  });
}

forEachDatabase('the gateway of a router', (open) => {
  it('is a host with an uplink and a tunnel, moves when that is surely over, and stays where it went', async () => {
    const world = await TaskWorld.open(await open());
    const { store, h1, h2 } = world;
    const routerId = await routed(world);
    const releases = new GatewayReleases();
    let [nudges, now] = [0, Date.now() + 3_600_000];
    /** What everybody says of everybody else. */
    let heardMsAgo: number | null = null;
    const clock = { ...systemClock, now: () => now };
    const links = { nudge: () => void (nudges += 1) };
    const peersOf = async () => (await hosts.select(store.db)).map(({ id }) => ({ hostId: id, heardMsAgo }));
    const seen = new Map<string, number>();
    const pass = async (ms: number): Promise<string | null> => {
      for (const end = now + ms; now < end; now += 1000) {
        const report = { peers: await peersOf() } as Liveness;
        const signals = {
          lastHeartbeatMs: (id: string) => seen.get(id) ?? now,
          liveness: () => ({ report, atMs: now }),
        };
        await moveGateways({ store, clock, links, signals }, releases);
      }
      return (await routers.get(store.db, routerId)).gatewayHostId;
    };
    const set = async (id: string, state: 'up' | 'down') => {
      if (state === 'down') seen.set(id, now - 5000);
      else seen.delete(id);
      await store.transaction((tx) => hosts.set(tx, { id }, { state }));
    };
    const first = await pass(1000);
    assert.ok(first === h1 || first === h2, 'neither without an uplink nor without a tunnel');
    const second = first === h1 ? h2 : h1;
    assert.equal(await pass(3000), first);
    assert.equal(nudges, 1, 'hosts hear of moves alone');
    await set(first, 'down');
    heardMsAgo = 500;
    assert.equal(await pass(60_000), first, 'other hosts hear it: it may go on translating');
    heardMsAgo = null;
    assert.equal(await pass(gatewayTakeOverAfterMs), first, 'its agent may not have ended it yet');
    assert.equal(await pass(2000), second);
    await set(first, 'up');
    assert.equal(await pass(30_000), second, 'a way back would cut every session again');
    await set(first, 'down');
    await set(second, 'down');
    assert.equal(await pass(60_000), second, 'nobody can: it works again when that host does');
    assert.equal(nudges, 2);
    const told = (await eventsAfter(store.db, 0)).filter(({ kind }) => kind === 'router.gateway-moved');
    assert.deepEqual(
      told.map(({ severity, details }) => [severity, details['hostId'], details['fromHostId']]),
      [
        ['info', first, null],
        ['warning', second, first],
      ],
    );
  });

  it('moves at once from a host whose power is off, and waits anew after a time without looking', async () => {
    const world = await TaskWorld.open(await open());
    const { store, h1 } = world;
    const routerId = await routed(world);
    const releases = new GatewayReleases();
    let now = Date.now() + 3_600_000;
    const clock = { ...systemClock, now: () => now };
    const look = async (): Promise<string> => {
      const peers = (await hosts.select(store.db)).map(({ id }) => ({ hostId: id, heardMsAgo: null }));
      const liveness = () => ({ report: { peers } as unknown as Liveness, atMs: now });
      const signals = { lastHeartbeatMs: () => now - 5000, liveness };
      await moveGateways({ store, clock, links: { nudge: () => {} }, signals }, releases);
      return (await routers.get(store.db, routerId)).gatewayHostId!;
    };
    const first = await look();
    await store.transaction((tx) => hosts.set(tx, { id: first }, { state: 'down' }));
    assert.equal(await look(), first);
    now += gatewayTakeOverAfterMs + 1000;
    assert.equal(await look(), first, 'nobody looked meanwhile');
    const word = { userId: systemIds.uuid(), userName: 'olga', statement: 'it is off' };
    const proof = operatorProof({ hostId: first, hostName: 'gone', bootId: null }, word, now);
    await store.transaction((tx) => recordProof(tx, systemIds.uuid(), proof, null));
    const second = await look();
    assert.ok(second !== first && (first === h1 || second === h1));
  });
});
