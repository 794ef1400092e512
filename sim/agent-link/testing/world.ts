/** A manager's side of hosts with its database, and agents with fake drivers that join and dial it over real sockets. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Agent, type AgentOptions, startAgent } from '@kvasir/agent/agent.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import type { Identity } from '@kvasir/agent/identity.ts';
import { joinManager } from '@kvasir/agent/join.ts';
import { MemoryJournal } from '@kvasir/agent/journal/journal.ts';
import { MemoryServed } from '@kvasir/agent/journal/served.ts';
import { MemoryVmSpecs } from '@kvasir/agent/journal/vm-specs.ts';
import { dialManager } from '@kvasir/agent/link/dial.ts';
import { noLog } from '@kvasir/agent/log.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { type FakeDrivers, fakeDrivers } from '@kvasir/agent/testing/fake-drivers.ts';
import { systemClock as managerClock } from '@kvasir/api/clock.ts';
import { systemIds } from '@kvasir/manager/ids.ts';
import { type Hosts, startHosts } from '@kvasir/manager/hosts/hosts.ts';
import { bootstrap } from '@kvasir/manager/store/bootstrap.ts';
import { clusters } from '@kvasir/manager/store/clusters.ts';
import type { Store } from '@kvasir/manager/store/database.ts';
import { openDatabase } from '@kvasir/manager/store/database.ts';
import { eventsAfter } from '@kvasir/manager/store/events.ts';
import { hosts as hostRows } from '@kvasir/manager/store/hosts.ts';
import { leader } from '@kvasir/manager/store/leader.ts';

export interface TestHost {
  readonly hostId: string;
  readonly name: string;
  readonly identity: Identity;
  readonly drivers: FakeDrivers;
  agent: Agent;
  /** What the agent was started with: to start it again as itself. */
  readonly options: AgentOptions;
}

export class World {
  readonly store: Store;
  readonly folder: string;
  hosts: Hosts;
  /** What the manager believes. */
  epoch: number | undefined = 1;
  readonly #agents: Agent[] = [];
  readonly #links = new Map<string, Link>();
  #count = 0;

  private constructor(store: Store, folder: string, hosts: Hosts) {
    this.store = store;
    this.folder = folder;
    this.hosts = hosts;
  }

  static async open(givenStore?: Store): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'kvasir-link-'));
    const store = givenStore ?? (await openDatabase(`sqlite:${join(folder, 'state.db')}`));
    await bootstrap(store, { clock: managerClock, ids: systemIds });
    let world: World | undefined = undefined;
    const hosts = await World.#start(store, 0, () => (world === undefined ? 1 : world.epoch));
    world = new World(store, folder, hosts);
    await world.lead(1);
    return world;
  }

  async lead(epoch: number): Promise<void> {
    await this.store.transaction((tx) => leader.set(tx, { id: 'leader' }, { epoch }));
    this.epoch = epoch;
  }

  static #start(store: Store, port: number, epoch: () => number | undefined): Promise<Hosts> {
    return startHosts({
      store,
      clock: managerClock,
      ids: systemIds,
      managerVersion: 'test',
      epoch,
      log: () => {},
      listen: { host: '127.0.0.1', port },
    });
  }

  get address(): string {
    return `127.0.0.1:${this.hosts.port}`;
  }

  /** Ends the manager's side and starts it anew on the same port and database. */
  async restartManager(): Promise<void> {
    const { port } = this.hosts;
    await this.hosts.close();
    this.hosts = await World.#start(this.store, port, () => this.epoch);
  }

  async clusterId(): Promise<string> {
    return (await clusters.select(this.store.db))[0]!.id;
  }

  async token(lifetimeMs = 60_000): Promise<string> {
    return (await this.hosts.createJoinToken({ clusterId: await this.clusterId(), lifetimeMs })).token;
  }

  async join(name: string, token?: string): Promise<Identity> {
    const given = token ?? (await this.token());
    const directory = join(this.folder, `host-${name}-${randomUUID()}`);
    return (await joinManager({ directory, token: given, manager: undefined, name, address: '127.0.0.1' })).identity;
  }

  async addHost(setUp: (drivers: FakeDrivers) => void = () => {}): Promise<TestHost> {
    this.#count += 1;
    const name = `h${this.#count}`;
    const identity = await this.join(name);
    const drivers = fakeDrivers();
    setUp(drivers);
    const options: AgentOptions = {
      drivers,
      dial: async (signal) => {
        const link = await dialManager(identity, signal);
        this.#links.set(identity.record.hostId, link);
        return link;
      },
      clock: systemClock,
      fraction: () => 0,
      identity: { hostId: identity.record.hostId, name, address: '127.0.0.1' },
      instanceId: randomUUID(),
      journal: new MemoryJournal(),
      specs: new MemoryVmSpecs(),
      served: new MemoryServed(),
      log: noLog,
      hostname: name,
      bootId: 'boot',
      agentVersion: 'test',
      versions: {},
      status: () => ({ load1: 0, freeMemoryMib: 1000 }),
    };
    const agent = await this.start(options);
    return { hostId: identity.record.hostId, name, identity, drivers, agent, options };
  }

  async start(options: AgentOptions): Promise<Agent> {
    const agent = await startAgent(options);
    this.#agents.push(agent);
    await until(
      `link of ${options.identity.name}`,
      () => agent.isConnected && this.hosts.isConnected(options.identity.hostId),
    );
    return agent;
  }

  /** Ends the host's link at once; its agent dials again. */
  breakLink(hostId: string): void {
    this.#links.get(hostId)?.close('cut by the test');
  }

  async hostState(hostId: string): Promise<string | undefined> {
    return (await hostRows.find(this.store.db, { id: hostId }))?.state;
  }

  async events(kind: string) {
    return (await eventsAfter(this.store.db, 0)).filter((event) => event.kind === kind);
  }

  async close(options: { readonly keepStore?: boolean } = {}): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.close()));
    await this.hosts.close();
    if (options.keepStore !== true) await this.store.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Waits for a condition; the name is what the failure says. */
export async function until(name: string, condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain for: ${name}`);
    await delay(5);
  }
}
