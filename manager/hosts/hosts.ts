/**
 * The manager's side of all hosts, put together: links, inventory, calls, pushes, joining. Sockets are optional, so that a
 * simulation hands links in by `accept`.
 */
import type { Duplex } from 'node:stream';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import { networkTrace, type PortCounters, portCounters, type TraceResult } from '@kvasir/api/agent/network.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { hosts as hostRows } from '../store/hosts.ts';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Store } from '../store/database.ts';
import { hostDomains } from '../store/host-domains.ts';
import { CertificateAuthority } from './ca.ts';
import { HostCalls } from './calls.ts';
import { Inventory } from './inventory.ts';
import { createJoinToken, joinHost } from './join.ts';
import { LivenessBoard } from './liveness.ts';
import { LivenessPushes } from './liveness-pushes.ts';
import { LinkHub } from './link-hub.ts';
import { type ListenAddress, startLinkServer } from './link-server.ts';
import { PoolPushes } from './pool-pushes.ts';
import { RunningTwiceWatch } from './running-twice.ts';
import { HostStreams } from './streams.ts';
import { SwitchPushes } from './switch-pushes.ts';

export interface HostsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly managerVersion: string;
  /** Epoch of the leader's lease that this manager holds; undefined while it holds none. */
  readonly epoch: () => number | undefined;
  readonly log: (message: string, error?: unknown) => void;
  /** Where agents dial in; left out: nowhere, links come by `accept`. */
  readonly listen?: ListenAddress;
  /** HOST:PORT that agents are told to dial; default: what is listened on. */
  readonly advertised?: string;
}

/** What the API's services use; the same shape as `services/host-links.ts`. */
export interface Hosts {
  readonly calls: HostCalls;
  readonly streams: HostStreams;
  /** What hosts last said of leases, peers and uplinks. */
  readonly liveness: LivenessBoard;
  /** When a host was heard last since this manager leads. */
  lastHeardMs(hostId: string): number | undefined;
  /** The host counts as down, its VMs as unknown, until it is heard again. */
  declareDown(hostId: string): Promise<void>;
  /** Processors that a running VM uses, as its host measured. */
  cpusUsed(hostId: string, vmId: string): number | undefined;
  /** Running VMs whose guests give no sign of life, as their hosts say. */
  withoutLife(): Iterable<{ readonly hostId: string; readonly report: DomainReport }>;
  /** Of the agents' server; 0 for a unix socket or none. */
  readonly port: number;
  /** Takes a link of a host whose identity is already proved. */
  accept(link: Link, hostId: string): void;
  isConnected(hostId: string): boolean;
  openConsole(hostId: string, vmId: string, kind: 'serial' | 'vnc'): Promise<Duplex>;
  screenshot(hostId: string, vmId: string): Promise<Buffer>;
  portCounters(hostId: string, portId: string): Promise<PortCounters>;
  traceNetwork(hostId: string, params: ParamsOf<typeof networkTrace>): Promise<TraceResult>;
  domains(hostId: string): Promise<{ id: string; name: string; state: string; managed: boolean }[]>;
  nudge(): void;
  createJoinToken(input: {
    readonly clusterId: string;
    readonly lifetimeMs: number;
  }): Promise<{ readonly token: string; readonly expiresAtMs: number }>;
  forgetHost(hostId: string): Promise<void>;
  /** Joins with a request's body; what `POST /join` does. */
  join(body: unknown): ReturnType<typeof joinHost>;
  /** Waits until everything reported and pushed so far is written. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export async function startHosts(options: HostsOptions): Promise<Hosts> {
  const { store, clock, ids, epoch, log } = options;
  const ca = await CertificateAuthority.open(store, () => clock.now());
  const inventory = new Inventory(store, clock, epoch);
  const liveness = new LivenessBoard();
  const hub = new LinkHub({ ...options, inventory, liveness, onConnected: () => nudge() });
  const calls = new HostCalls(hub, epoch, () => `manager/${ids.uuid()}`);
  const streams = new HostStreams(hub);
  const pools = new PoolPushes({ store, clock, hub, calls, inventory, log });
  const switches = new SwitchPushes({ store, clock, hub, calls, inventory, epoch, log });
  const plans = new LivenessPushes({ store, clock, hub, calls, epoch, poolsSent: () => pools.settle(), log });
  calls.leadTo(switches);
  const nudge = (): void => {
    pools.nudge();
    switches.nudge();
    plans.nudge();
  };
  const watch = new RunningTwiceWatch(store, clock, calls, inventory);
  const joining = { store, clock, ids, ca };
  hub.start();
  switches.start();
  const server =
    options.listen &&
    (await startLinkServer({
      ...joining,
      listen: options.listen,
      addresses: options.advertised === undefined ? ['localhost', '127.0.0.1'] : [hostOf(options.advertised)],
      join: (body) => joinHost(joining, body),
      accept: (link, host) => hub.accept(link, host.id),
    }));
  const port = server?.port ?? 0;
  const manager = options.advertised ?? `127.0.0.1:${port}`;
  return {
    calls,
    streams,
    liveness,
    lastHeardMs: (hostId) => hub.lastHeardMs(hostId),
    declareDown: (hostId) => hub.declareDown(hostId),
    cpusUsed: (hostId, vmId) => inventory.known.get(hostId, vmId)?.signs?.cpusUsed,
    withoutLife: () => inventory.known.withoutLife(),
    port,
    accept: (link, hostId) => hub.accept(link, hostId),
    isConnected: (hostId) => hub.find(hostId) !== undefined,
    openConsole: (hostId, vmId, kind) => streams.openConsole(hostId, vmId, kind),
    screenshot: (hostId, vmId) => streams.screenshot(hostId, vmId),
    portCounters: async (hostId, portId) => {
      const { ports } = await calls.call(hostId, portCounters, { nicIds: [portId] }, { reconnectMs: 0 });
      const [own] = ports;
      if (own === undefined) throw new KvasirError('not-found', { kind: 'plugged-in port', id: portId });
      return own;
    },
    traceNetwork: (hostId, params) => calls.call(hostId, networkTrace, params, { reconnectMs: 0 }),
    domains: async (hostId) => {
      if (hub.find(hostId) === undefined) throw await hub.unreachable(hostId);
      const rows = await hostDomains.select(store.db, { hostId }, 'name');
      return rows.map(({ domainId, name, state, managed }) => ({ id: domainId, name, state, managed }));
    },
    nudge,
    createJoinToken: (input) => createJoinToken(joining, { ...input, manager }),
    forgetHost: async (hostId) => {
      // With the row gone already there is nothing left to revoke.
      await store.transaction(async (tx) => {
        await hostRows.set(tx, { id: hostId }, { certificateFingerprint: null });
      });
      hub.forget(hostId);
    },
    join: (body) => joinHost(joining, body),
    settle: async () => {
      await pools.settle();
      await plans.settle();
      await switches.settle();
      await inventory.settle();
    },
    close: async () => {
      watch.close();
      await hub.close();
      await server?.close();
      await pools.settle();
      await plans.settle();
      await switches.close();
      await inventory.settle();
    },
  };
}

function hostOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}
