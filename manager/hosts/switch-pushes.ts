/**
 * Brings every host's part of the distributed switch up to date: when it connects, when something changed, and before a task
 * needs it.
 *
 * Invariants: a picture of the world is read in one transaction and gets the next generation, so a later generation never
 * holds older news. Pictures are made one at a time; whoever asks gets one that begins after the question, and shares it with
 * all who ask meanwhile: a burst of new VMs is a few pictures. The generation begins with the leader's epoch, so it also grows over
 * all managers.
 */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { PortCuts } from '@kvasir/api/agent/network.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Slices } from '@kvasir/control/network/slice.ts';
import type { Store } from '../store/database.ts';
import { addCuts } from '../store/session-cuts.ts';
import { readSwitchWorld } from '../store/switch-world.ts';
import type { HostCalls } from './calls.ts';
import type { Inventory } from './inventory.ts';
import type { LinkHub } from './link-hub.ts';
import { SwitchDelivery } from './switch-delivery.ts';

export interface SwitchPushesOptions {
  readonly clock: Clock;
  readonly store: Store;
  readonly hub: LinkHub;
  readonly calls: HostCalls;
  readonly inventory: Inventory;
  readonly epoch: () => number | undefined;
  readonly log: (message: string, error?: unknown) => void;
}

interface Queued {
  readonly delivered: Promise<void>;
  /** Others have networks or groups in common with it. */
  readonly concernsOthers: boolean;
}

interface Picture {
  readonly queued: ReadonlyMap<string, Queued>;
  /** Ports that were looked through. */
  readonly size: number;
}

interface WantedPicture {
  readonly hostIds: Set<string>;
  readonly picture: PromiseWithResolvers<Picture>;
}

/** 2^53 leaves room for 90 million epochs. */
const generationsPerEpoch = 100_000_000;
/** For a host that is not connected just now. */
const reconnectMs = 5000;
const retryMs = 30_000;
/** Everything is looked through this often even if nobody says that something changed. */
const roundMs = 30_000;
/** A rest of a millisecond for so many ports, after all of them were looked through. */
const portsForRestMs = 5;
const peersMs = 5000;
/** For more hosts than this the whole world is read: that is cheaper than looking for what they share. */
const fewHosts = 32;

export class SwitchPushes {
  readonly #options: SwitchPushesOptions;
  readonly #delivery: SwitchDelivery;
  #wanted: WantedPicture | undefined;
  #making: Promise<void> | undefined;
  #pictures = 0;
  #again = false;
  #running: Promise<void> | null = null;
  #resting = false;
  #cancelRound: () => void = () => {};
  #closed = false;

  constructor(options: SwitchPushesOptions) {
    this.#options = options;
    this.#delivery = new SwitchDelivery(options.hub, options.calls, {
      failed: (hostId, error) => this.#failed(hostId, error),
      cut: (cuts) => this.#cut(cuts),
    });
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
    await this.#making;
  }

  /** Something changed: bring all hosts up to date soon. Cheap to call often. */
  nudge(): void {
    this.#again = true;
    if (!this.#resting) this.#running ??= this.#rounds();
  }

  /** Waits until the last nudge is worked off and has arrived. */
  async settle(): Promise<void> {
    await this.#running;
    await this.#delivery.settle();
  }

  /**
   * Returns when the host has taken what the database says now. With `everywhere` also the other hosts, as far as they are
   * connected and answer within some seconds. @throws KvasirError host-unreachable, timeout, not-leader, host-failed
   */
  async ready(hostId: string, { everywhere }: { readonly everywhere: boolean }): Promise<void> {
    const { hub } = this.#options;
    for (;;) {
      const link = await hub.wait(hostId, reconnectMs);
      try {
        return await this.#bring(hostId, everywhere);
      } catch (error) {
        if (!(error instanceof KvasirError) || error.code !== 'host-unreachable') throw error;
        // It went away meanwhile: when it is back, it is told anew.
        if (hub.find(hostId) === link) throw error;
      }
    }
  }

  async #bring(hostId: string, everywhere: boolean): Promise<void> {
    const others = everywhere ? this.#options.hub.connectedHosts().filter((id) => id !== hostId) : [];
    const { queued } = await this.#picture([hostId, ...others]);
    const own = queued.get(hostId);
    const peers = Promise.allSettled(others.map(async (id) => await queued.get(id)?.delivered));
    await own?.delivered;
    if (others.length > 0) await this.#atMost(peers, peersMs);
    // Those who share networks or groups with it shall hear of it too, if not at once.
    else if (own?.concernsOthers === true) this.nudge();
  }

  async #rounds(): Promise<void> {
    // Nudges of the same turn become one.
    await turn();
    while (this.#again && !this.#closed) {
      const { clock, hub, epoch, log } = this.#options;
      this.#again = false;
      const connected = hub.connectedHosts();
      if (connected.length === 0 || epoch() === undefined) continue;
      try {
        const began = clock.now();
        const { size } = await this.#picture(connected);
        // However large all is, half of the time is left to others, and to what comes to be told meanwhile.
        const restMs = Math.max(Math.floor(size / portsForRestMs), clock.now() - began);
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

  /** The next picture, with these hosts among those that get their part of it. Who asks while one is made shares the one after it. */
  #picture(hostIds: readonly string[]): Promise<Picture> {
    this.#wanted ??= { hostIds: new Set(), picture: Promise.withResolvers<Picture>() };
    for (const hostId of hostIds) this.#wanted.hostIds.add(hostId);
    const { promise } = this.#wanted.picture;
    this.#making ??= this.#makePictures();
    return promise;
  }

  async #makePictures(): Promise<void> {
    // What the same turn asks for is one.
    await turn();
    for (let wanted = this.#wanted; wanted !== undefined; wanted = this.#wanted) {
      this.#wanted = undefined;
      const { resolve, reject } = wanted.picture;
      await this.#make([...wanted.hostIds]).then(resolve, reject);
    }
    this.#making = undefined;
  }

  /** Reads the world and queues what these hosts shall have. */
  async #make(hostIds: readonly string[]): Promise<Picture> {
    const { store, epoch, hub } = this.#options;
    const links = new Map(hostIds.map((hostId) => [hostId, hub.find(hostId)]));
    const { world, generation } = await store.transaction(async (tx) => {
      const world = await readSwitchWorld(tx, hostIds.length > fewHosts ? undefined : hostIds);
      const current = epoch();
      if (current === undefined) throw new KvasirError('not-leader');
      this.#pictures += 1;
      return { world, generation: current * generationsPerEpoch + this.#pictures };
    });
    const slices = new Slices(world, digestOf);
    const queued = new Map<string, Queued>();
    for (const [index, hostId] of hostIds.entries()) {
      // Thousands of hosts are not worth a stop of everything else.
      if (index % 32 === 31) await turn();
      const { outline, documents } = slices.of(hostId);
      const hash = digestOf(JSON.stringify(outline));
      const concernsOthers =
        outline.addressSets.length > 0 ||
        outline.networks.some(({ kind, domain }) => kind === 'vxlan' || domain !== null);
      const content = { generation, outline, documents, hash, link: links.get(hostId) };
      const delivered = this.#delivery.queue(hostId, content);
      queued.set(hostId, { delivered, concernsOthers });
    }
    return { queued, size: world.ports.length };
  }

  /** The next host of such a port must know it. */
  async #cut(cuts: readonly PortCuts[]): Promise<void> {
    if (await this.#options.store.transaction((tx) => addCuts(tx, cuts))) this.nudge();
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

/** 132 bits: two texts with the same digest are out of anybody's reach. */
function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
