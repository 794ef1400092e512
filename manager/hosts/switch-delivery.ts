/**
 * Brings slices to hosts, one after the other at each: of those that wait the newest alone is sent.
 *
 * Invariants: at one host generations only grow; what a host has taken on its link is not sent again, neither whole slices nor
 * documents. What is not known for certain (a link that broke, a call without an answer) counts as not there. A slice goes to the link
 * that the host had before the slice was made, or nowhere: a host that comes back gets a new one first, for what was right before
 * may be wrong now (another host may translate for its routers).
 */
import { networkApply, type PortCuts } from '@kvasir/api/agent/network.ts';
import { digestsOf, type SliceDocument, type SliceOutline } from '@kvasir/api/agent/slice-outline.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { HostSlice } from '@kvasir/control/network/slice.ts';
import type { HostCalls } from './calls.ts';
import type { HostLink } from './host-link.ts';
import type { LinkHub } from './link-hub.ts';

export interface SliceToSend extends HostSlice {
  readonly generation: number;
  /** Of the outline; equal ones mean equal slices. */
  readonly hash: string;
  /** Of the host, when the world was read; undefined: it had none. */
  readonly link: HostLink | undefined;
}

/** What is to be at a host; a newer one takes its place while it waits. */
interface Parcel extends SliceToSend {
  readonly delivered: PromiseWithResolvers<void>;
}

interface Line {
  next: Parcel | undefined;
  busy: boolean;
}

interface Taken {
  readonly generation: number;
  readonly hash: string;
  readonly digests: ReadonlySet<string>;
}

export interface DeliveryListener {
  /** A host did not take its slice; the next one of that host waits for the end of this. */
  failed(hostId: string, error: unknown): Promise<void>;
  /** A host has cut these sessions of its ports; nobody hears that its slice was delivered before the end of this. */
  cut(cuts: readonly PortCuts[]): Promise<void>;
}

/** A host that goes on saying that it lacks something has lost its mind. */
const attempts = 3;

export class SwitchDelivery {
  readonly #hub: LinkHub;
  readonly #calls: HostCalls;
  readonly #listener: DeliveryListener;
  readonly #lines = new Map<string, Line>();
  readonly #taken = new WeakMap<HostLink, Taken>();
  /** NICs that the slice had which a host took last. */
  readonly #ports = new Map<string, ReadonlySet<string>>();
  readonly #deliveries = new Set<Promise<void>>();

  constructor(hub: LinkHub, calls: HostCalls, listener: DeliveryListener) {
    this.#hub = hub;
    this.#calls = calls;
    this.#listener = listener;
  }

  /** Resolves when the host has taken this slice or a newer one. */
  queue(hostId: string, content: SliceToSend): Promise<void> {
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

  async settle(): Promise<void> {
    await Promise.allSettled([...this.#deliveries]);
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
        await this.#listener.failed(hostId, error);
      }
    }
    line.busy = false;
  }

  async #send(hostId: string, { generation, outline, documents, hash, link }: Parcel): Promise<void> {
    if (link === undefined || this.#hub.find(hostId) !== link) throw await this.#hub.unreachable(hostId);
    const taken = this.#taken.get(link);
    if (taken !== undefined && taken.generation > generation) return;
    if (taken?.hash === hash) {
      this.#taken.set(link, { ...taken, generation });
      return;
    }
    this.#taken.delete(link);
    const digests = digestsOf(outline);
    let lacks = [...digests].filter((digest) => taken?.digests.has(digest) !== true);
    for (let attempt = 1; ; attempt += 1) {
      const sent = named(lacks, documents);
      const order = { generation, outline, documents: sent };
      const { missing, cuts = [] } = await this.#calls.call(hostId, networkApply, order, { link });
      if (missing.length === 0) {
        await this.#believe(hostId, outline, cuts);
        break;
      }
      if (attempt === attempts) throw new KvasirError('host-failed', { reason: 'It lacks what it was sent' });
      lacks = missing;
    }
    this.#taken.set(link, { generation, hash, digests });
  }

  /** About ports that the host has, or had until now: one that has just moved away may have been cut before. */
  async #believe(hostId: string, { ports }: SliceOutline, cuts: readonly PortCuts[]): Promise<void> {
    const now = new Set(ports.map(({ nicId }) => nicId));
    const before = this.#ports.get(hostId) ?? now;
    this.#ports.set(hostId, now);
    const believed = cuts.filter(({ nicId }) => now.has(nicId) || before.has(nicId));
    if (believed.length > 0) await this.#listener.cut(believed);
  }
}

function named(digests: readonly string[], documents: ReadonlyMap<string, SliceDocument>) {
  return digests.flatMap((digest) => {
    const content = documents.get(digest);
    return content === undefined ? [] : [{ digest, content }];
  });
}
