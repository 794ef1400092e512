/**
 * How long it takes to find hosts for many VMs at once in a large cluster, as after the death of a host. The decisions are the
 * manager's own, each re-checked in the transaction; no VM is started. Every round begins with nothing in memory, and is
 * rolled back, so that all rounds are alike.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@kvasir/api/clock.ts';
import { insertHost, insertPool, insertVm } from '@kvasir/manager/http/testing/inventory.ts';
import { systemIds } from '@kvasir/manager/ids.ts';
import { bootstrap } from '@kvasir/manager/store/bootstrap.ts';
import { ClusterSnapshots } from '@kvasir/manager/store/cluster-snapshots.ts';
import { clusters } from '@kvasir/manager/store/clusters.ts';
import { openDatabase, type Store } from '@kvasir/manager/store/database.ts';
import { hosts } from '@kvasir/manager/store/hosts.ts';
import { projects } from '@kvasir/manager/store/projects.ts';
import { decidePlacement } from '@kvasir/manager/tasks/vm-placement.ts';
import { type Summary, summarize } from '../statistics.ts';
import { type Surroundings, surroundings } from '../surroundings.ts';

export interface PlacementOptions {
  readonly hosts: number;
  readonly vms: number;
  /** VMs of the dead host. */
  readonly together: number;
  readonly rounds: number;
}

export interface PlacementReport {
  readonly surroundings: Surroundings;
  readonly options: PlacementOptions;
  /** The whole cluster, once a round. */
  readonly readMs: Summary;
  /** All decisions of a round, the reading included. */
  readonly togetherMs: Summary;
  /** Processor time of the same; the one to look at on a busy machine. */
  readonly processorMs: Summary;
  readonly placed: number;
}

export async function measurePlacement(options: PlacementOptions): Promise<PlacementReport> {
  const beside = surroundings();
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-bench-'));
  const store = await openDatabase(`sqlite:${join(folder, 'state.db')}`);
  try {
    const world = await fill(store, options);
    const rounds: Round[] = [];
    // The first one warms up.
    for (let i = 0; i <= options.rounds; i += 1) rounds.push(await round(store, world, options.together));
    rounds.shift();
    return {
      surroundings: beside,
      options,
      readMs: summarize(rounds.map(({ readMs }) => readMs)),
      togetherMs: summarize(rounds.map(({ togetherMs }) => togetherMs)),
      processorMs: summarize(rounds.map(({ processorMs }) => processorMs)),
      placed: Math.min(...rounds.map(({ placed }) => placed)),
    };
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

interface World {
  readonly clusterId: string;
  readonly projectId: string;
  readonly poolId: string;
}

/** VMs evenly over the hosts; the last host is dead. */
async function fill(store: Store, { hosts: hostCount, vms }: PlacementOptions): Promise<World> {
  await bootstrap(store, { clock: systemClock, ids: systemIds });
  return await store.transaction(async (tx) => {
    const clusterId = (await clusters.select(tx))[0]!.id;
    const projectId = (await projects.select(tx))[0]!.id;
    const hostIds: string[] = [];
    for (let i = 0; i < hostCount; i += 1) hostIds.push((await insertHost(tx, clusterId, `host-${i}`)).id);
    await hosts.set(tx, { id: hostIds.at(-1)! }, { state: 'down' });
    const { id: poolId } = await insertPool(tx, clusterId, 'pool', hostIds);
    for (let i = 0; i < vms; i += 1) {
      await insertVm(tx, projectId, `vm-${i}`, clusterId, { hostId: hostIds[i % hostCount]! });
    }
    return { clusterId, projectId, poolId };
  });
}

interface Round {
  readonly readMs: number;
  readonly togetherMs: number;
  readonly processorMs: number;
  readonly placed: number;
}

class RolledBack extends Error {
  readonly round: Round;
  constructor(round: Round) {
    super();
    this.round = round;
  }
}

async function round(store: Store, { clusterId, projectId, poolId }: World, together: number): Promise<Round> {
  const decided = store.transaction(async (tx): Promise<Round> => {
    const began = performance.now();
    const before = process.cpuUsage();
    const snapshots = new ClusterSnapshots(systemClock);
    await snapshots.read(tx, clusterId);
    const readMs = performance.now() - began;
    let placed = 0;
    for (let i = 0; i < together; i += 1) {
      const decision = await decidePlacement(snapshots, tx, clusterId, {
        vmId: systemIds.uuid(),
        projectId,
        cpus: 1,
        memoryMib: 128,
        cpuModel: 'host',
        poolIds: [poolId],
        volumeHostIds: [],
        networkIds: [],
        affinity: [],
        antiAffinity: [],
      });
      if (decision.ok) placed += 1;
    }
    const { user, system } = process.cpuUsage(before);
    const processorMs = (user + system) / 1000;
    throw new RolledBack({ readMs, togetherMs: performance.now() - began, processorMs, placed });
  });
  return await decided.catch((error: unknown) => {
    if (error instanceof RolledBack) return error.round;
    throw error;
  });
}
