/** Routers and the controller that chooses their gateway hosts, with hosts that say and answer what a test lets them. */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { Gateways } from '../controllers/gateways.ts';
import { systemIds } from '../ids.ts';
import { eventsAfter } from '../store/events.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { acquireLeadership, currentEpoch } from '../store/leader.ts';
import { networks, plainNetwork } from '../store/networks.ts';
import { routers } from '../store/routers.ts';
import { readRouters } from '../store/switch-world-routers.ts';
import { switches, uplinks } from '../store/switches.ts';
import { firstRevision } from '../store/versioned.ts';
import type { TaskWorld } from './task-world.ts';

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
    const way = {
      externalNetworkId: network.id,
      externalAddress: '203.0.113.2',
      snat: true,
      gatewayHostId: null,
      gatewayEnding: false,
    };
    const macs = { macAddress: '52:54:00:ee:00:00', externalMacAddress: '52:54:00:ee:00:01' };
    const router = await routers.insert(tx, { ...fresh(), ...told, ...way, ...macs, name: 'edge', projectId });
    return router.id;
  });
}

/** The controller on a clock of its own, what hosts say, and hosts that answer when the test lets them. */
export class GatewayRig {
  readonly store: TaskWorld['store'];
  readonly routerId: string;
  now = Date.now() + 3_600_000;
  nudges = 0;
  /** What everybody says of everybody else. */
  heardMsAgo: number | null = null;
  /** When hosts were heard that are not heard now. */
  readonly seen = new Map<string, number>();
  /** Names of physical connections that are down. */
  readonly down = new Map<string, readonly string[]>();
  /** Questions whether a host has taken its part, that are open. */
  readonly questions: { readonly hostId: string; readonly answer: PromiseWithResolvers<void> }[] = [];
  answers = false;
  #controller: Gateways;
  #epoch: number;

  private constructor(store: TaskWorld['store'], routerId: string, epoch: number) {
    this.store = store;
    this.routerId = routerId;
    this.#epoch = epoch;
    this.#controller = this.#lead();
  }

  static async open(world: TaskWorld): Promise<GatewayRig> {
    return new GatewayRig(world.store, await routed(world), await currentEpoch(world.store.db));
  }

  /** Another manager goes on. */
  restart(): void {
    this.#controller = this.#lead();
  }

  /** The same manager, after another one led. */
  async leadAgain(): Promise<void> {
    const ask = { holder: systemIds.uuid(), now: this.now, leaseMs: 60_000, isDead: () => true };
    this.#epoch = (await this.store.transaction((tx) => acquireLeadership(tx, ask)))!;
  }

  #lead(): Gateways {
    const signals = {
      lastHeartbeatMs: (id: string) => this.seen.get(id) ?? this.now,
      liveness: (id: string) => ({ report: this.#report(id), atMs: this.now }),
    };
    return new Gateways({
      ...{ store: this.store, clock: { ...systemClock, now: () => this.now }, signals, epoch: () => this.#epoch },
      links: { nudge: () => void (this.nudges += 1) },
      calls: {
        switchReady: (hostId) => {
          const answer = Promise.withResolvers<void>();
          if (this.answers) answer.resolve();
          else this.questions.push({ hostId, answer });
          return answer.promise;
        },
      },
    });
  }

  #hostIds: readonly string[] = [];
  #report(id: string): Liveness {
    const peers = this.#hostIds.map((hostId) => ({ hostId, heardMsAgo: this.heardMsAgo }));
    const uplinks = ['vm0', 'vm1'].map((name) => ({ name, up: this.down.get(id)?.includes(name) !== true }));
    return { peers, uplinks } as unknown as Liveness;
  }

  /** A look each second. Answers who translates, or is to. */
  async pass(ms: number): Promise<string | null> {
    for (const end = this.now + ms; this.now < end; this.now += 1000) await this.look();
    return (await this.router()).gatewayHostId;
  }

  async look(): Promise<void> {
    this.#hostIds = (await hosts.select(this.store.db)).map(({ id }) => id);
    await this.#controller.round();
  }

  router() {
    return routers.get(this.store.db, this.routerId);
  }

  /** The host that slices name; null: none. */
  async told(): Promise<string | null> {
    const [router] = await readRouters(this.store.db, undefined, new Set());
    return router?.gateway?.hostId ?? null;
  }

  async set(id: string, state: 'up' | 'down'): Promise<void> {
    if (state === 'down') this.seen.set(id, this.now - 5000);
    else this.seen.delete(id);
    await this.store.transaction((tx) => hosts.set(tx, { id }, { state }));
  }

  async events() {
    return (await eventsAfter(this.store.db, 0)).filter(({ kind }) => kind.startsWith('router.gateway-'));
  }
}
