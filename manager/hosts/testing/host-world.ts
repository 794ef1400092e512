/** The manager's side of hosts on a clock that tests move, with agents that say what tests tell them to. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Hello } from '@kvasir/api/agent/link.ts';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import { memoryLinkPair } from '@kvasir/api/agent/wire/memory-link.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { Peer } from '@kvasir/api/agent/wire/peer.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemIds } from '../../ids.ts';
import { bootstrap } from '../../store/bootstrap.ts';
import { clusters } from '../../store/clusters.ts';
import type { Store } from '../../store/database.ts';
import { eventsAfter } from '../../store/events.ts';
import { hosts as hostRows } from '../../store/hosts.ts';
import { leader } from '../../store/leader.ts';
import { firstRevision } from '../../store/versioned.ts';
import { projects } from '../../store/projects.ts';
import { type VmRow, vms } from '../../store/vms.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { type Hosts, startHosts } from '../hosts.ts';

export class ScriptedAgent {
  readonly peer: Peer;
  readonly link: Link;
  readonly requests: { readonly method: string; readonly params: unknown }[] = [];
  /** Answers by method; others get a plausible empty one. */
  readonly answers = new Map<string, (params: unknown) => unknown>();
  domains: DomainReport[] = [];
  #seq = 0;

  constructor(link: Link, clock: ManualClock) {
    this.link = link;
    this.peer = new Peer(link, clock, 'odd', {
      request: async (method, params) => {
        this.requests.push({ method, params });
        const answer = this.answers.get(method);
        if (answer !== undefined) return answer(params);
        if (method === 'vm.list') return { domains: this.domains };
        const inner = (params as { params?: Record<string, unknown> }).params ?? {};
        if (method === 'pool.apply') return { pools: reached(inner['pools'] as { poolId: string }[]) };
        if (method === 'network.apply') return { generation: inner['generation'], missing: [] };
        throw new KvasirError('unsupported', { reason: method });
      },
      notification: () => {},
    });
  }

  beat(): void {
    this.#seq += 1;
    this.peer.notify('heartbeat', { seq: this.#seq, atMs: 0, load1: 0, freeMemoryMib: 1 });
  }

  changed(domain: DomainReport, options: { readonly removed?: boolean; readonly because?: string } = {}): void {
    this.domains = this.domains.filter((other) => other.vmId !== domain.vmId);
    if (options.removed !== true) this.domains.push(domain);
    this.peer.notify('domain-changed', { domain, removed: options.removed ?? false, because: options.because ?? null });
  }
}

function reached(pools: readonly { readonly poolId: string }[]) {
  return pools.map(({ poolId }) => ({ poolId, reachable: true, reason: null, totalMib: 100, freeMib: 50 }));
}

export class HostWorld {
  readonly clock = new ManualClock();
  readonly store: Store;
  hosts!: Hosts;
  /** What the manager believes; the database knows better. */
  epoch: number | undefined;
  readonly #hostIds = new Map<string, string>();
  readonly #since: number;

  private constructor(store: Store, since: number) {
    this.store = store;
    this.#since = since;
  }

  static async open(store: Store): Promise<HostWorld> {
    const [last] = (await eventsAfter(store.db, 0, { limit: 1_000_000 })).slice(-1);
    const world = new HostWorld(store, last?.seq ?? 0);
    await bootstrap(store, { clock: world.clock, ids: systemIds });
    await world.lead(3);
    await world.startManager();
    return world;
  }

  async lead(epoch: number): Promise<void> {
    await this.store.transaction((tx) => leader.set(tx, { id: 'leader' }, { epoch }));
    this.epoch = epoch;
  }

  async startManager(): Promise<void> {
    this.hosts = await startHosts({
      store: this.store,
      clock: this.clock,
      ids: systemIds,
      managerVersion: 'test',
      epoch: () => this.epoch,
      log: () => {},
    });
  }

  async addHost(name: string): Promise<string> {
    const hostId = systemIds.uuid();
    const [cluster] = await clusters.select(this.store.db);
    await this.store.transaction(async (tx) => {
      await hostRows.insert(tx, {
        ...firstRevision(hostId, this.clock.now()),
        name,
        description: '',
        labels: {},
        clusterId: cluster!.id,
        state: 'joining',
        schedulable: true,
        address: '',
        virtualization: null,
        cpus: 0,
        cpuModel: '',
        memoryMib: 0,
        versions: {},
        inventory: null,
        certificateFingerprint: null,
        lastSeenAt: null,
      });
    });
    this.#hostIds.set(name, hostId);
    return hostId;
  }

  /** Dials as this host and introduces it. */
  async connect(
    hostId: string,
    domains: readonly DomainReport[] = [],
    instanceId = systemIds.uuid(),
  ): Promise<ScriptedAgent> {
    const agent = this.dial(hostId);
    agent.domains = [...domains];
    await agent.peer.call('hello', this.hello(hostId, domains, instanceId));
    await this.hosts.settle();
    return agent;
  }

  dial(hostId: string): ScriptedAgent {
    const [managerSide, agentSide] = memoryLinkPair();
    this.hosts.accept(managerSide, hostId);
    return new ScriptedAgent(agentSide, this.clock);
  }

  hello(hostId: string, domains: readonly DomainReport[] = [], instanceId = systemIds.uuid()): Hello {
    const inventory = {
      hostname: 'h',
      address: '10.0.0.1',
      virtualization: 'simulated' as const,
      virtualizationReason: null,
      cpus: 4,
      cpuModel: 'Fake',
      usableCpuModels: ['qemu64'],
      memoryMib: 4096,
      versions: { qemu: '1' },
    };
    return { protocol: 1, agentVersion: '1.2.3', hostId, instanceId, inventory, domains: [...domains] };
  }

  async addVm(changes: Partial<VmRow>): Promise<VmRow> {
    const id = systemIds.uuid();
    const [[cluster], [project]] = [await clusters.select(this.store.db), await projects.select(this.store.db)];
    const row: VmRow = {
      ...firstRevision(id, this.clock.now()),
      name: `vm-${id.slice(0, 8)}`,
      description: '',
      labels: {},
      projectId: project!.id,
      clusterId: cluster!.id,
      hostId: null,
      reservedHostId: null,
      state: 'running',
      stateReason: null,
      desiredState: 'running',
      cpus: 1,
      maxCpus: 1,
      memoryMib: 128,
      maxMemoryMib: 128,
      cpuModel: 'maximum',
      firmware: 'bios',
      bootOrder: ['disk'],
      affinity: [],
      antiAffinity: [],
      cloudInit: null,
      guest: null,
      drift: [],
      startedAt: null,
      trashedAt: null,
      purgeAt: null,
      ...changes,
    };
    await this.store.transaction((tx) => vms.insert(tx, row));
    return row;
  }

  vm(id: string): Promise<VmRow> {
    return vms.get(this.store.db, id);
  }

  host(id: string) {
    return hostRows.get(this.store.db, id);
  }

  async events(kind?: string) {
    const all = await eventsAfter(this.store.db, this.#since, { limit: 100_000 });
    return kind === undefined ? all : all.filter((event) => event.kind === kind);
  }

  /** Lets everything that is under way come to rest. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 20; turns += 1) await turn();
    await this.hosts.settle();
  }

  /** Seconds pass; the agents given beat each second. */
  async pass(seconds: number, beating: readonly ScriptedAgent[] = []): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      for (const agent of beating) agent.beat();
      await this.settle();
      this.clock.advance(1000);
      await this.settle();
    }
  }

  /** Seconds pass until it holds, of which settling knows nothing; at most ten real ones, as a loaded machine is slow. */
  async passUntil(holds: () => Promise<boolean>, beating: readonly ScriptedAgent[] = []): Promise<void> {
    const endMs = performance.now() + 10_000;
    while (performance.now() < endMs && !(await holds())) await this.pass(1, beating);
  }

  async passUntilDown(hostId: string, beating: readonly ScriptedAgent[] = []): Promise<void> {
    await this.passUntil(async () => (await this.host(hostId)).state === 'down', beating);
  }
}

export function report(
  vm: { readonly id: string; readonly name: string },
  changes: Partial<DomainReport> = {},
): DomainReport {
  return {
    vmId: vm.id,
    name: vm.name,
    managed: true,
    state: 'running',
    reason: null,
    incoming: false,
    startedAtMs: null,
    guest: null,
    drift: [],
    ...changes,
  };
}
