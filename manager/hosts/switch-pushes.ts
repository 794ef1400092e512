/**
 * Brings every host's part of the distributed switch up to date: when it connects, when something changed, and before a task
 * needs it.
 *
 * Invariants: a picture of the world is read in one transaction and gets the next generation, so a later generation never
 * holds older news; at one host generations only grow, and one that was overtaken is not sent any more; what a host has taken
 * on its link is not sent again. The generation begins with the leader's epoch, so it also grows over all managers.
 */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { networkApply } from '@kvasir/api/agent/network.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Slices } from '@kvasir/control/network/slice.ts';
import type { Store } from '../store/database.ts';
import { addCuts } from '../store/session-cuts.ts';
import { readSwitchWorld } from '../store/switch-world.ts';
import type { HostCalls } from './calls.ts';
import type { HostLink } from './host-link.ts';
import type { Inventory } from './inventory.ts';
import type { LinkHub } from './link-hub.ts';

export interface SwitchPushesOptions {
  readonly clock: Clock;
  readonly store: Store;
  readonly hub: LinkHub;
  readonly calls: HostCalls;
  readonly inventory: Inventory;
  readonly epoch: () => number | undefined;
  readonly log: (message: string, error?: unknown) => void;
}

/** What is to be at a host; a newer one takes its place while it waits. */
interface Parcel {
  readonly generation: number;
  readonly slice: NetworkSlice;
  readonly hash: string;
  readonly delivered: PromiseWithResolvers<void>;
}

interface Line {
  next: Parcel | undefined;
  busy: boolean;
}

interface Queued {
  readonly delivered: Promise<void>;
  /** Others have networks or groups in common with it. */
  readonly concernsOthers: boolean;
}

interface Taken {
  readonly generation: number;
  readonly hash: string;
}

/** 2^53 leaves room for 90 million epochs. */
const generationsPerEpoch = 100_000_000;
const retryMs = 30_000;
/** Everything is looked through this often even if nobody says that something changed. */
const roundMs = 30_000;
/** A rest of a millisecond for so many ports, after all of them were looked through. */
const portsForRestMs = 5;
const peersMs = 5000;

export class SwitchPushes {
  readonly #options: SwitchPushesOptions;
  readonly #lines = new Map<string, Line>();
  readonly #taken = new WeakMap<HostLink, Taken>();
  /** NICs that the slice had which a host took last. */
  readonly #ports = new Map<string, ReadonlySet<string>>();
  readonly #deliveries = new Set<Promise<void>>();
  #pictures = 0;
  #again = false;
  #running: Promise<void> | null = null;
  #resting = false;
  #cancelRound: () => void = () => {};
  #closed = false;

  constructor(options: SwitchPushesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancelRound = this.#options.clock.after(roundMs, () => {
      if (this.#closed) return;
      this.nudge();
      this.start();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRound();
    await this.#running;
  }

  /** Something changed: bring all hosts up to date soon. Cheap to call often. */
  nudge(): void {
    this.#again = true;
    if (!this.#resting) this.#running ??= this.#rounds();
  }

  /** Waits until the last nudge is worked off and has arrived. */
  async settle(): Promise<void> {
    await this.#running;
    await Promise.allSettled([...this.#deliveries]);
  }

  /**
   * Returns when the host has taken what the database says now. With `everywhere` also the other hosts, as far as they are
   * connected and answer within some seconds. @throws KvasirError host-unreachable, timeout, not-leader, host-failed
   */
  async ready(hostId: string, { everywhere }: { readonly everywhere: boolean }): Promise<void> {
    const others = everywhere ? this.#options.hub.connectedHosts().filter((id) => id !== hostId) : [];
    const { queued } = await this.#picture([hostId, ...others]);
    const { [hostId]: own, ...rest } = queued;
    const peers = Promise.allSettled(Object.values(rest).map(({ delivered }) => delivered));
    await own?.delivered;
    if (others.length > 0) await this.#atMost(peers, peersMs);
    // Those who share networks or groups with it shall hear of it too, if not at once.
    else if (own?.concernsOthers === true) this.nudge();
  }

  async #rounds(): Promise<void> {
    // Nudges of the same turn become one.
    await turn();
    while (this.#again && !this.#closed) {
      const { hub, epoch, log } = this.#options;
      this.#again = false;
      const connected = hub.connectedHosts();
      if (connected.length === 0 || epoch() === undefined) continue;
      try {
        const { size } = await this.#picture(connected);
        const restMs = Math.floor(size / portsForRestMs);
        if (restMs > 0) return this.#rest(restMs);
      } catch (error) {
        log('the distributed switch could not be sent to the hosts', error);
      }
    }
    this.#running = null;
  }

  #rest(ms: number): void {
    this.#running = null;
    this.#resting = true;
    this.#options.clock.after(ms, () => {
      this.#resting = false;
      if (this.#again && !this.#closed) this.nudge();
    });
  }

  /** Reads the world and queues what these hosts shall have. */
  async #picture(hostIds: readonly string[]): Promise<{ queued: Record<string, Queued>; size: number }> {
    const { store, epoch } = this.#options;
    const scope = hostIds.length > 1 ? undefined : hostIds;
    const { world, generation } = await store.transaction(async (tx) => {
      const world = await readSwitchWorld(tx, scope);
      const current = epoch();
      if (current === undefined) throw new KvasirError('not-leader');
      this.#pictures += 1;
      return { world, generation: current * generationsPerEpoch + this.#pictures };
    });
    const slices = new Slices(world);
    const queued: Record<string, Queued> = {};
    for (const [index, hostId] of hostIds.entries()) {
      // Thousands of hosts are not worth a stop of everything else.
      if (index % 32 === 31) await turn();
      const slice = slices.of(hostId);
      const hash = createHash('sha256').update(JSON.stringify(slice)).digest('base64');
      const concernsOthers =
        slice.addressSets.length > 0 || slice.networks.some(({ kind, domain }) => kind === 'vxlan' || domain !== null);
      queued[hostId] = { delivered: this.#queue(hostId, { generation, slice, hash }), concernsOthers };
    }
    return { queued, size: world.ports.length };
  }

  #queue(hostId: string, content: Omit<Parcel, 'delivered'>): Promise<void> {
    const line = this.#lines.get(hostId) ?? { next: undefined, busy: false };
    this.#lines.set(hostId, line);
    const waiting = line.next;
    if (waiting !== undefined && waiting.generation > content.generation) return waiting.delivered.promise;
    const parcel = { ...content, delivered: waiting?.delivered ?? Promise.withResolvers<void>() };
    parcel.delivered.promise.catch(() => {});
    line.next = parcel;
    if (!line.busy) {
      const delivering = this.#deliver(hostId, line).finally(() => this.#deliveries.delete(delivering));
      this.#deliveries.add(delivering);
    }
    return parcel.delivered.promise;
  }

  async #deliver(hostId: string, line: Line): Promise<void> {
    line.busy = true;
    for (let parcel = line.next; parcel !== undefined; parcel = line.next) {
      line.next = undefined;
      try {
        await this.#send(hostId, parcel);
        parcel.delivered.resolve();
      } catch (error) {
        parcel.delivered.reject(error);
        await this.#failed(hostId, error);
      }
    }
    line.busy = false;
  }

  async #send(hostId: string, { generation, slice, hash }: Parcel): Promise<void> {
    const { hub, calls, store } = this.#options;
    const link = hub.find(hostId);
    const taken = link && this.#taken.get(link);
    if (taken !== undefined && taken.generation > generation) return;
    if (taken?.hash === hash) {
      this.#taken.set(link!, { generation, hash });
      return;
    }
    const { cuts = [] } = await calls.call(hostId, networkApply, { generation, slice });
    const ports = new Set(slice.ports.map(({ nicId }) => nicId));
    // A port that has just moved away may have been cut before.
    const had = this.#ports.get(hostId) ?? ports;
    this.#ports.set(hostId, ports);
    const believed = cuts.filter(({ nicId }) => ports.has(nicId) || had.has(nicId));
    // Before anybody hears that it is done: the next host of such a port must know it.
    if (believed.length > 0 && (await store.transaction((tx) => addCuts(tx, believed)))) this.nudge();
    // On a link that came meanwhile it is not known who took it.
    if (link !== undefined && hub.find(hostId) === link) this.#taken.set(link, { generation, hash });
  }

  async #failed(hostId: string, error: unknown): Promise<void> {
    const { clock, hub, inventory, log } = this.#options;
    const reason = error instanceof Error ? error.message : String(error);
    log(`host ${hostId} did not take its part of the switch: ${reason}`);
    clock.after(retryMs, () => {
      if (!this.#closed) this.nudge();
    });
    if (hub.find(hostId)?.peer.isOpen !== true) return;
    const message = (name: string): string => `Host ${name} did not take its part of the switch: ${reason}`;
    await inventory.hostEvent(hostId, 'host.push-failed', 'warning', message).catch(() => {});
  }

  async #atMost(work: Promise<unknown>, ms: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(ms, () => over.resolve());
    await Promise.race([work, over.promise]);
    cancel();
  }
}
