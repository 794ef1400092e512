/**
 * A cluster of three hosts with leases and peers that see each other, a power device each, and the controller of high
 * availability over it, on a clock that the test moves. Tasks run for real against hosts in memory.
 */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { PowerCut } from '@kvasir/control/ha/fence-proof.ts';
import { HaController } from '../controllers/ha.ts';
import { systemIds } from '../ids.ts';
import { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Store } from '../store/database.ts';
import { eventsAfter } from '../store/events.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { endProofs } from '../store/fence-proofs.ts';
import { haIncidents, haTimeline } from '../store/ha-incidents.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { clusterLeases, defaultLeases } from '../store/leases.ts';
import { poolHosts } from '../store/pools.ts';
import { firstRevision } from '../store/versioned.ts';
import { type VmRow, vms } from '../store/vms.ts';
import type { TaskRunner } from '../tasks/runner.ts';
import { type FakeHostLife, HostLives } from './host-lives.ts';
import { ManualClock } from './manual-clock.ts';
import { lead } from './task-runs.ts';
import { TaskWorld } from './task-world.ts';

export class HaWorld {
  readonly tasks: TaskWorld;
  readonly clock = new ManualClock();
  readonly lives: HostLives;
  readonly controller: HaController;
  /** Hosts whose power was asked to be cut, in order. */
  readonly powerOffs: string[] = [];
  /** Which machine the device of a host really controls; left out: its own. */
  readonly wiring = new Map<string, string>();
  /** Whether devices answer. */
  powerWorks = true;
  /** The device does not answer until it is not waited for any more. */
  powerHangs = false;
  #runner: TaskRunner | undefined;
  #epoch: number | undefined;

  private constructor(tasks: TaskWorld) {
    this.tasks = tasks;
    this.lives = new HostLives(this.clock, tasks.sharedPool);
    const power = { powerOff: (deviceId: string, signal: AbortSignal) => this.#powerOff(deviceId, signal) };
    const signals = {
      lastHeartbeatMs: (id: string) => this.lives.heardMs(id),
      liveness: (id: string) => this.lives.liveness(id),
      declareDown: (id: string) => this.#declareDown(id),
    };
    const clusterSnapshots = new ClusterSnapshots(this.clock);
    const log = (message: string, details: unknown): void => {
      throw new Error(
        `${message}: ${JSON.stringify(details, (_, value) => (value instanceof Error ? value.stack : value))}`,
      );
    };
    const { store } = tasks;
    const epoch = (): number | undefined => this.#epoch;
    this.controller = new HaController({
      store,
      clock: this.clock,
      ids: systemIds,
      clusterSnapshots,
      signals,
      power,
      epoch,
      log,
    });
  }

  static async open(store: Store, hostCount = 3): Promise<HaWorld> {
    const tasks = await TaskWorld.open(store);
    const world = new HaWorld(tasks);
    const { h1, h2, clusterId } = tasks;
    const others = Array.from({ length: hostCount - 2 }, () => systemIds.uuid());
    const ids = [h1, h2, ...others];
    await store.transaction(async (tx) => {
      const like = await hosts.get(tx, h2);
      for (const [index, id] of others.entries()) {
        await hosts.insert(tx, { ...like, id, name: `h${index + 3}` });
        tasks.hosts.host(id);
        const seen = { reachable: true, reason: null, totalMib: 1000, freeMib: 1000, updatedAt: 1 };
        await poolHosts.insert(tx, { poolId: tasks.sharedPool, hostId: id, ...seen });
      }
      for (const [index, id] of ids.entries()) {
        await hosts.set(tx, { id }, { name: `h${index + 1}`, memoryMib: 65_536, cpus: 256 });
        const at = { address: '127.0.0.1', port: 623, userName: 'root', sealedPassword: '', position: 0 };
        const trust = { checkedAt: 1, checkError: null, seenOnAt: world.clock.now(), mistrustedBecause: null };
        const more = { certificateFingerprint: null, systemPath: null, ...trust };
        const device = {
          ...firstRevision(systemIds.uuid(), 1),
          name: `bmc-${index}`,
          hostId: id,
          kind: 'ipmi',
        } as const;
        await fenceDevices.insert(tx, { ...device, ...at, ...more });
      }
      await clusterLeases.insert(tx, { clusterId, ...defaultLeases, probeKey: '' });
    });
    for (const id of ids) world.lives.set(id, { heard: true, alive: true, bootId: `boot-of-${id}` });
    world.#runner = await lead(tasks);
    world.#epoch = await currentEpoch(store.db);
    world.controller.start();
    await world.pass(25_000);
    return world;
  }

  get store(): Store {
    return this.tasks.store;
  }

  async close(): Promise<void> {
    const stopped = this.controller.stop();
    await this.#runner?.stop();
    await stopped;
  }

  /** A VM that runs on the host, on shared storage, as the host has reported it. */
  async runningVm(hostId: string, changes: Partial<VmRow> = {}): Promise<VmRow> {
    const { vm } = await this.tasks.addVm({ state: 'running', hostId, changes });
    await this.report(hostId, vm.id);
    return vm;
  }

  /** The host says how its domain is. */
  async report(hostId: string, vmId: string): Promise<void> {
    const domain = this.tasks.hosts.host(hostId).domains.get(vmId);
    if (domain === undefined) return;
    const seen = { name: vmId, state: domain.state, managed: true, vmId, seenAt: 1 };
    await this.store.transaction(async (tx) => {
      await hostDomains.put(tx, { hostId, domainId: vmId, ...seen }, ['hostId', 'domainId']);
      const vm = await vms.get(tx, vmId);
      if (vm.hostId === hostId) await vms.set(tx, { id: vmId }, { state: domain.state });
    });
  }

  powerLoss(hostId: string): void {
    Object.assign(this.lives.get(hostId)!, { heard: false, alive: false });
    this.tasks.hosts.host(hostId).clear();
  }

  /** It boots and its agent dials in. */
  async powerOn(hostId: string): Promise<void> {
    await this.reconnect(hostId, { bootId: systemIds.uuid() });
  }

  async reconnect(hostId: string, changes: Partial<FakeHostLife> = {}): Promise<void> {
    Object.assign(this.lives.get(hostId)!, { heard: true, alive: true, ...changes });
    this.lives.beat();
    await this.store.transaction(async (tx) => {
      await hosts.set(tx, { id: hostId }, { state: 'up' });
      await endProofs(tx, hostId, this.clock.now());
      for (const vm of await vms.select(tx, { hostId })) {
        const domain = this.tasks.hosts.host(hostId).domains.get(vm.id);
        const state = domain?.state ?? 'stopped';
        if (domain === undefined) await hostDomains.remove(tx, { hostId, domainId: vm.id });
        await vms.set(tx, { id: vm.id }, { state });
      }
    });
  }

  /** Somebody sets the manager's clock back; the hosts measure by their own. */
  setClockBack(ms: number): void {
    this.clock.setBack(ms);
    this.lives.setClockBack(ms);
  }

  /** Time goes by in small steps, and all that waits for it is done. */
  async pass(ms: number): Promise<void> {
    const stepMs = ms >= 1000 ? 250 : 50;
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.lives.beat();
      this.clock.advance(stepMs);
      await this.#settle();
    }
  }

  /** @throws when it does not come true within four minutes of the world's time */
  async until(what: string, isTrue: () => Promise<boolean> | boolean): Promise<number> {
    const began = this.clock.now();
    while (!(await isTrue())) {
      if (this.clock.now() - began > 60_000) assert.fail(`${what} did not come true:\n${await this.story()}`);
      await this.pass(50);
    }
    return this.clock.now() - began;
  }

  async vm(id: string): Promise<VmRow> {
    return await vms.get(this.store.db, id);
  }

  async runs(vmId: string, hostId?: string): Promise<boolean> {
    const vm = await this.vm(vmId);
    return vm.state === 'running' && (hostId === undefined || vm.hostId === hostId);
  }

  async haState(hostId: string): Promise<string> {
    return (await hostHa.find(this.store.db, { hostId }))?.state ?? 'running';
  }

  async eventKinds(): Promise<string[]> {
    return (await eventsAfter(this.store.db, 0, { limit: 1000 })).map(({ kind }) => kind);
  }

  /** All timelines, as text. */
  async story(): Promise<string> {
    const lines: string[] = [];
    for (const incident of await haIncidents.select(this.store.db, {}, 'openedAt')) {
      lines.push(`${incident.hostName} (${incident.closedAt === null ? 'open' : 'closed'})`);
      for (const { at, kind, message, because } of await haTimeline.select(
        this.store.db,
        { incidentId: incident.id },
        'seq',
      )) {
        lines.push(
          `  ${at - incident.openedAt} ms ${kind}: ${message}${because === null ? '' : ` because ${because}`}`,
        );
      }
    }
    return lines.join('\n');
  }

  async #declareDown(hostId: string): Promise<void> {
    await this.store.transaction(async (tx) => {
      await hosts.set(tx, { id: hostId }, { state: 'down' });
      const state = ['running', 'paused', 'stopped', 'crashed'] as const;
      await vms.set(tx, { hostId, state }, { state: 'unknown' });
    });
  }

  async #powerOff(deviceId: string, signal: AbortSignal): Promise<PowerCut> {
    const device = await fenceDevices.get(this.store.db, deviceId);
    this.powerOffs.push(device.hostId);
    if (this.powerHangs) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    if (!this.powerWorks || signal.aborted)
      throw new KvasirError('fencing-failed', { device: device.name, reason: 'no answer' });
    const wired = this.wiring.get(device.hostId) ?? device.hostId;
    const before = this.lives.get(wired)?.alive === true ? 'on' : 'off';
    this.powerLoss(wired);
    const at = { confirmedAtMs: this.clock.now(), readBeforeAtMs: this.clock.now() };
    return { state: 'off', deviceId, kind: 'ipmi', before, ...at };
  }

  /** Lets everything go on that does not wait for the clock; what tasks do on real time is waited for a little. */
  async #settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await setImmediate();
    await systemClock.sleep(1);
  }
}
