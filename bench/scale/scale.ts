/**
 * One manager under many hosts and VMs. Owns the order: join, connect, rest, create, rest again, lists; every phase with its
 * limit in time, so that a slow one ends as an honest partial result and not as a hang. Processes and files go in the end.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { imageOperations } from '@kvasir/api/resources/image.ts';
import { poolOperations } from '@kvasir/api/resources/pool.ts';
import { processUsage } from '../process-usage.ts';
import { tenths } from '../statistics.ts';
import { type Surroundings, surroundings } from '../surroundings.ts';
import { AgentsProcess, type Reached } from './agents-process.ts';
import { type Creates, createVms } from './creates.ts';
import { inParallel } from './in-parallel.ts';
import { type ListTime, timeLists } from './lists.ts';
import { ManagerProcess } from './manager-process.ts';
import { hostName, imageFile, imageName, poolName, poolPath } from './sizes.ts';

export interface ScaleOptions {
  readonly hosts: number;
  readonly vms: number;
  /** `sqlite`, or the address of an empty PostgreSQL database. */
  readonly database: string;
  readonly createsAtOnce: number;
  /** Of each phase. */
  readonly limitMs: number;
  /** How long the manager is watched at rest, before and after the VMs are made. */
  readonly restMs: number;
  readonly listRounds: number;
  /** Where the manager writes a profile of its processor time for Chromium's tools; it costs some time itself. */
  readonly cpuProfileFolder?: string | undefined;
  readonly progress: (phase: string) => void;
}

/** The manager over one phase. */
export interface PhaseLoad {
  readonly phase: string;
  readonly seconds: number;
  readonly managerCpuPercent: number;
  readonly agentsCpuPercent: number;
  readonly managerRssMib: number;
  readonly agentsRssMib: number;
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  readonly databaseMib: number;
}

export interface ScaleReport {
  readonly surroundings: Surroundings;
  readonly options: Omit<ScaleOptions, 'progress'>;
  readonly joined: Reached & { readonly seconds: number };
  readonly connected: Reached & { readonly seconds: number };
  readonly creates: Creates;
  readonly lists: readonly ListTime[];
  readonly phases: readonly PhaseLoad[];
  readonly agentRssMib: number;
}

export async function runScale({ progress, ...options }: ScaleOptions): Promise<ScaleReport> {
  const beside = surroundings();
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-bench-'));
  const ends: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    progress('manager');
    const manager = await ManagerProcess.start(folder, { cpuProfileFolder: undefined, ...options });
    ends.push(() => manager.stop());
    const agents = new AgentsProcess();
    ends.push(() => agents.stop());
    const { client } = manager;
    const phases: PhaseLoad[] = [];
    const phase = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      progress(name);
      const meter = await PhaseMeter.begin(manager, agents);
      const result = await work();
      phases.push(await meter.end(name));
      return result;
    };

    await client.call(poolOperations.create, { body: { name: poolName, path: poolPath, shared: true } });
    const joined = await phase('join', () => timed(() => joinHosts(manager, agents, folder, options)));
    const connected = await phase('connect', () => timed(() => agents.connect(joined.count, options.limitMs)));
    await phase('settle', () => importImage(manager, options.limitMs));
    await phase('rest with hosts alone', () => delay(options.restMs));
    const { vms: count, createsAtOnce: atOnce, limitMs } = options;
    const creates = await phase('create VMs', () => createVms(client, { count, atOnce, limitMs }));
    await phase('rest with VMs', () => delay(options.restMs));
    const lists = await phase('lists', () => timeLists(client, { vms: creates.answered, rounds: options.listRounds }));
    const agentRssMib = tenths((phases.at(-1)?.agentsRssMib ?? 0) / Math.max(1, connected.count));
    return { surroundings: beside, options, joined, connected, creates, lists, phases, agentRssMib };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Every host joins as a server does: a token of its own from the API, a key and a certificate request of its own. */
export async function joinHosts(
  manager: ManagerProcess,
  agents: AgentsProcess,
  folder: string,
  { hosts: count, limitMs }: Pick<ScaleOptions, 'hosts' | 'limitMs'>,
): Promise<Reached> {
  const hosts: { name: string; token: string }[] = [];
  const names = Array.from({ length: count }, (_, index) => hostName(index + 1));
  await inParallel(4, names, async (name) => {
    const { token } = await manager.client.call(hostOperations.createJoinToken, { body: {} });
    hosts.push({ name, token });
  });
  return agents.join(hosts, join(folder, 'hosts'), limitMs);
}

/** Ends when the image is ready: by then all hosts have been told of the pool. */
export async function importImage(manager: ManagerProcess, limitMs: number): Promise<void> {
  const { client } = manager;
  const end = performance.now() + limitMs;
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) {
      if (performance.now() > end) throw new Error(`${what}: the limit of ${limitMs} ms was hit`);
      await delay(100);
    }
  };
  await until('all hosts reach the pool', async () => {
    const pool = await client.call(poolOperations.get, { params: { pool: poolName } });
    const { items } = await client.call(hostOperations.list, { query: { limit: 1000, state: 'up' } });
    return pool.hosts.filter(({ reachable }) => reachable).length === items.length;
  });
  await client.call(imageOperations.import, {
    body: { name: imageName, pool: poolName, file: imageFile, public: true },
  });
  await until('the image', async () => {
    const image = await client.call(imageOperations.get, { params: { image: imageName } });
    return image.state === 'ready';
  });
}

class PhaseMeter {
  readonly #manager: ManagerProcess;
  readonly #agents: AgentsProcess;
  readonly #began = performance.now();
  readonly #before: readonly [number, number];

  private constructor(manager: ManagerProcess, agents: AgentsProcess, before: readonly [number, number]) {
    this.#manager = manager;
    this.#agents = agents;
    this.#before = before;
  }

  static async begin(manager: ManagerProcess, agents: AgentsProcess): Promise<PhaseMeter> {
    await manager.loopDelay();
    const [managerNow, agentsNow] = [await processUsage(manager.pid), await processUsage(agents.pid)];
    return new PhaseMeter(manager, agents, [managerNow.cpuMs, agentsNow.cpuMs]);
  }

  async end(phase: string): Promise<PhaseLoad> {
    const tookMs = performance.now() - this.#began;
    const delays = await this.#manager.loopDelay();
    const [manager, agents] = [await processUsage(this.#manager.pid), await processUsage(this.#agents.pid)];
    return {
      phase,
      seconds: tenths(tookMs / 1000),
      managerCpuPercent: tenths((100 * (manager.cpuMs - this.#before[0])) / tookMs),
      agentsCpuPercent: tenths((100 * (agents.cpuMs - this.#before[1])) / tookMs),
      managerRssMib: manager.rssMib,
      agentsRssMib: agents.rssMib,
      loopDelayP99Ms: tenths(delays.p99Ms),
      loopDelayMaxMs: tenths(delays.maxMs),
      databaseMib: await this.#manager.databaseMib(),
    };
  }
}

async function timed<T extends object>(work: () => Promise<T>): Promise<T & { readonly seconds: number }> {
  const began = performance.now();
  const result = await work();
  return { ...result, seconds: tenths((performance.now() - began) / 1000) };
}
