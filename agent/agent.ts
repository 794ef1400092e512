/**
 * One host's agent: drivers below, a link above, a journal beside. The same for a real host (`main.ts`), a simulated one
 * and a thousand of them in one process; everything that differs comes in through `AgentOptions`.
 *
 * VMs, networks and storage go on without the manager and without the agent: starting changes nothing but leftovers that
 * belong to no VM, stopping changes nothing at all.
 */
import { poolApply, type PoolReport } from '@kvasir/api/agent/host.ts';
import type { Heartbeat } from '@kvasir/api/agent/link.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { Dispatcher } from './dispatcher.ts';
import type { HostDrivers } from './drivers/drivers.ts';
import { withoutGateways } from './drivers/without-gateways.ts';
import { allHandlers } from './handlers/all.ts';
import type { HostContext, HostIdentity } from './handlers/handler.ts';
import { readInventory } from './handlers/host.ts';
import type { Journal } from './journal/journal.ts';
import type { Served } from './journal/served.ts';
import { MemoryVmMetadata, type VmMetadataStore } from './journal/vm-metadata.ts';
import type { VmSpecs } from './journal/vm-specs.ts';
import { KeyedLock } from './keyed-lock.ts';
import { Session } from './link/session.ts';
import type { Log } from './log.ts';
import { LivenessWatch } from './liveness-watch.ts';
import { GatewayWatch } from './gateway-watch.ts';
import { FunctionSwitch } from './function-switch.ts';
import { clearLeftovers, serveAgain } from './reconcile.ts';
import { NetworkWatch } from './network-watch.ts';
import { PoolWatch } from './pool-watch.ts';
import { HypervisorWatch } from './hypervisor-watch.ts';
import { StartNotes } from './start-notes.ts';

export interface AgentOptions {
  readonly drivers: HostDrivers;
  readonly dial: (signal: AbortSignal) => Promise<Link>;
  readonly clock: Clock;
  /** In [0, 1), for jitter. */
  readonly fraction: () => number;
  readonly identity: HostIdentity;
  /** A UUID, new at each start of the agent. */
  readonly instanceId: string;
  readonly journal: Journal;
  readonly specs: VmSpecs;
  readonly served: Served;
  /** Absent: what guests are told of themselves is forgotten with the process. */
  readonly metadata?: VmMetadataStore;
  readonly log: Log;
  readonly hostname: string;
  /** Of the host, new with each boot. */
  readonly bootId: string;
  readonly agentVersion: string;
  /** Further versions to report, e.g. of the kernel. */
  readonly versions: Readonly<Record<string, string>>;
  /** What a heartbeat tells of the host. */
  readonly status: () => Omit<Heartbeat, 'seq' | 'atMs'>;
}

export interface Agent {
  readonly isConnected: boolean;
  /** Closes the link and the drivers; running changes get a moment to end. VMs are not touched. */
  close(): Promise<void>;
}

const driverRetryMs = 1000;
const settleMs = 2000;
/** The manager writes an answer down before it takes a report that comes so much later. */
const tellAgainMs = 2000;
/** A pool on a storage that hangs must not keep the agent from starting. */
const serveAgainMs = 3000;

/** Resolves when the hypervisor answers and the first dialling has begun; rejects when `signal` fires before. */
export async function startAgent(options: AgentOptions, signal?: AbortSignal): Promise<Agent> {
  const { drivers, clock, log, journal, specs, served, identity } = options;
  await openHypervisor(options, signal);
  const host: HostContext = {
    identity,
    drivers,
    specs,
    served,
    metadata: options.metadata ?? new MemoryVmMetadata(),
    locks: new KeyedLock(),
    starts: new StartNotes(drivers.liveness),
    clock,
    hostname: options.hostname,
    bootId: options.bootId,
    versions: { agent: options.agentVersion, ...options.versions },
  };
  await Promise.race([serveAgain(host, log), clock.sleep(serveAgainMs)]);
  await clearLeftovers(host, log);
  const hypervisor: HypervisorWatch = new HypervisorWatch({
    ...{ clock, drivers, log, starts: host.starts },
    inventory: () => readInventory(host),
    lastSeen: () => liveness.lastSeen,
    onBack: () => liveness.tellAll(),
  });
  const dispatcher = new Dispatcher({
    handlers: allHandlers(host),
    journal,
    bootId: options.bootId,
    clock,
    log,
    hypervisor,
    sendProgress: (progress) => session.notify('progress', progress),
    onOldAnswer: (vmId) => void clock.after(tellAgainMs, () => liveness.tellAgain(vmId)),
  });
  const session = new Session({
    ...options,
    hello: async () => {
      const { inventory, domains } = await hypervisor.describe();
      networkWatch.toldOtherwise();
      return {
        agentVersion: options.agentVersion,
        hostId: identity.hostId,
        instanceId: options.instanceId,
        inventory,
        domains: domains.map((domain) => liveness.explain(domain)),
      };
    },
    request: async (method, params, streams) => {
      const answer = await dispatcher.request(method, params, streams);
      if (method === poolApply.name) poolWatch.toldOtherwise();
      return answer;
    },
  });
  const liveness: LivenessWatch = new LivenessWatch({
    ...{ clock, drivers, log },
    hypervisorSilentMs: () => hypervisor.silentMs,
    notify: (method, params) => session.notify(method, params),
  });
  await liveness.start();
  hypervisor.start();
  const stopWatching = drivers.hypervisor.watch((event) =>
    session.notify('domain-changed', { ...event, domain: liveness.explain(event.domain, event.removed) }),
  );
  const functionSwitch = new FunctionSwitch(drivers, specs, log);
  const poolWatch = new PoolWatch(clock, drivers.storage, (pools: PoolReport[]) =>
    session.notify('pools-changed', { pools }),
  );
  const networkWatch = new NetworkWatch(clock, drivers.network, (report) => session.notify('network-changed', report));
  const gatewayWatch = new GatewayWatch({
    ...{ clock, log, manager: session },
    liveness: drivers.liveness,
    endGateways: async () => {
      const { networks } = served.lists;
      if (networks !== null) await served.set({ networks: { ...networks, slice: withoutGateways(networks.slice) } });
      await drivers.network.endGateways();
    },
  });
  session.start();
  return {
    get isConnected() {
      return session.isConnected;
    },
    close: async () => {
      stopWatching();
      functionSwitch.close();
      poolWatch.close();
      networkWatch.close();
      gatewayWatch.close();
      hypervisor.close();
      await liveness.close();
      await session.close();
      await dispatcher.settle(settleMs);
      await drivers.hypervisor.close();
      await drivers.network.close();
      await journal.close();
    },
  };
}

/** A host whose hypervisor does not answer has nothing to report; its agent waits for it. */
async function openHypervisor({ drivers, clock, log }: AgentOptions, signal?: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      signal?.throwIfAborted();
      await drivers.hypervisor.open();
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt === 1) log('the hypervisor does not answer yet', error);
      await clock.sleep(driverRetryMs, signal);
    }
  }
}
