/**
 * All links of this manager: at most one for each host. Owns who is connected and who is up.
 *
 * Invariants: a host is `up` while its heartbeats come, `down` after `missedHeartbeats` in a row stayed away, whether or not
 * the socket still looks open; a link that broke does not make a host `down` before that, so that an agent may restart in
 * peace. A manager that itself was held up (its timer came late) gives every host that time again: it was not them. Only the leader
 * has links and judges.
 */
import {
  type Heartbeat,
  type Hello,
  heartbeatIntervalMs,
  missedHeartbeats,
  type Welcome,
} from '@kvasir/api/agent/link.ts';
import { vmList } from '@kvasir/api/agent/vm.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import { hosts } from '../store/hosts.ts';
import { CopiedIdentities } from './copied-identities.ts';
import { HostLink } from './host-link.ts';
import type { Inventory } from './inventory.ts';
import type { LivenessBoard } from './liveness.ts';
import { readResult } from './reports.ts';

export interface LinkHubOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly inventory: Inventory;
  readonly liveness: LivenessBoard;
  readonly managerVersion: string;
  /** Epoch of the leader's lease that this manager holds; undefined while it holds none. */
  readonly epoch: () => number | undefined;
  readonly log: (message: string, error?: unknown) => void;
  /** A host was welcomed. */
  readonly onConnected: (hostId: string) => void;
}

interface Beat {
  lastMs: number;
  up: boolean;
}

const downAfterMs = missedHeartbeats * heartbeatIntervalMs;
/** Agents that lost a manager need a while to come back to it. */
const startGraceMs = 10_000;
/** A link without heartbeats is of no use: the agent had better dial anew. */
const closeAfterMs = 4 * downAfterMs;
const rememberSeenEveryMs = 10_000;
const refreshEveryMs = 5000;
const listTimeoutMs = 20_000;

export class LinkHub {
  readonly #options: LinkHubOptions;
  readonly #links = new Map<string, HostLink>();
  readonly #open = new Set<HostLink>();
  readonly #beats = new Map<string, Beat>();
  /** When each host was really heard last; unlike a beat, never moved for a manager that was held up. */
  readonly #heard = new Map<string, number>();
  readonly #copies: CopiedIdentities;
  readonly #waiters = new Map<string, Set<(link: HostLink) => void>>();
  #cancelTick: () => void = () => {};
  #nextSeenMs = 0;
  #nextRefreshMs = 0;
  #closed = false;
  /** The epoch that the last look found this manager to lead with. */
  #leads: number | undefined;

  constructor(options: LinkHubOptions) {
    this.#options = options;
    this.#copies = new CopiedIdentities(options.inventory, options.clock);
  }

  start(): void {
    this.#scheduleTick();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTick();
    const ends = [...this.#open].map((link) => link.peer.ended);
    for (const link of this.#open) link.peer.close('the manager stops');
    await Promise.all(ends);
  }

  accept(link: Link, hostId: string): void {
    if (this.#closed) {
      link.close('the manager stops');
      return;
    }
    const opened = new HostLink(link, hostId, this.#options.clock, {
      hello: (self, hello) => this.#hello(self, hello),
      heartbeat: (self, heartbeat) => this.#heartbeat(self, heartbeat),
      domainChanged: (self, report) => this.#write(self, this.#options.inventory.domainChanged(self.hostId, report)),
      poolsChanged: (self, { pools }) => this.#write(self, this.#options.inventory.pools(self.hostId, pools)),
      networkChanged: (self, report) => this.#write(self, this.#options.inventory.network(self.hostId, report)),
      liveness: (self, report) => {
        // What an older link still says is old.
        if (this.#links.get(hostId) === self) this.#options.liveness.take(hostId, report, this.#options.clock.now());
      },
      ended: (self, { reason, breach }) => this.#ended(self, reason, breach),
    });
    this.#open.add(opened);
  }

  /** The link of a host that was welcomed. */
  find(hostId: string): HostLink | undefined {
    return this.#links.get(hostId);
  }

  connectedHosts(): string[] {
    return [...this.#links.keys()];
  }

  /** When the host was heard last since this manager leads, and since its clock was last set back. */
  lastHeardMs(hostId: string): number | undefined {
    const heardMs = this.#heard.get(hostId);
    return heardMs !== undefined && heardMs - this.#options.clock.now() > heartbeatIntervalMs ? undefined : heardMs;
  }

  /** The host counts as down, although its heartbeats have not been missed for long enough, until it is heard again. */
  async declareDown(hostId: string): Promise<void> {
    const beat = this.#beats.get(hostId);
    if (beat !== undefined) beat.up = false;
    await this.#options.inventory.hostDown(hostId);
  }

  /** The host's link, as soon as it has one. @throws KvasirError host-unreachable after `ms`; the signal's reason */
  async wait(hostId: string, ms: number, signal?: AbortSignal): Promise<HostLink> {
    signal?.throwIfAborted();
    const link = this.#links.get(hostId);
    if (link !== undefined) return link;
    const waiting = Promise.withResolvers<HostLink>();
    const waiters = this.#waiters.get(hostId) ?? new Set();
    this.#waiters.set(hostId, waiters.add(waiting.resolve));
    const giveUp = (error: unknown): void => waiting.reject(error);
    const cancel = this.#options.clock.after(ms, () => void this.unreachable(hostId).then(giveUp, giveUp));
    const abort = (): void => giveUp(signal?.reason);
    signal?.addEventListener('abort', abort);
    try {
      return await waiting.promise;
    } finally {
      cancel();
      signal?.removeEventListener('abort', abort);
      waiters.delete(waiting.resolve);
      if (waiters.size === 0) this.#waiters.delete(hostId);
    }
  }

  /** Closes the host's link, and forgets that it was ever there. */
  forget(hostId: string): void {
    this.#beats.delete(hostId);
    this.#heard.delete(hostId);
    for (const link of this.#open) if (link.hostId === hostId) link.peer.close('the host was removed');
    this.#links.delete(hostId);
    this.#options.inventory.known.forget(hostId);
    this.#options.liveness.forget(hostId);
  }

  /** The error that says so, with the name of the host. */
  async unreachable(hostId: string): Promise<KvasirError> {
    const host = await hosts.find(this.#options.store.db, { id: hostId }).catch(() => undefined);
    return new KvasirError('host-unreachable', { host: host?.name ?? hostId });
  }

  async #hello(link: HostLink, hello: Hello): Promise<Welcome> {
    const { inventory, clock, epoch, managerVersion, onConnected } = this.#options;
    if (epoch() === undefined) throw new KvasirError('not-leader');
    await this.#replace(link);
    await inventory.hello(link.hostId, hello);
    const current = epoch();
    if (current === undefined) throw new KvasirError('not-leader');
    if (!link.peer.isOpen) throw new Error('the link closed during hello');
    this.#beats.set(link.hostId, { lastMs: clock.now(), up: true });
    this.#heard.set(link.hostId, clock.now());
    this.#links.set(link.hostId, link);
    for (const resolve of this.#waiters.get(link.hostId) ?? []) resolve(link);
    onConnected(link.hostId);
    return { managerVersion, epoch: current, nowMs: clock.now() };
  }

  /** @throws KvasirError wrong-state */
  async #replace(link: HostLink): Promise<void> {
    const { hostId } = link;
    await this.#copies.refuse(link, this.#links.get(hostId), this.#beats.get(hostId)?.lastMs);
    for (const other of this.#open) {
      if (other === link || other.hostId !== hostId) continue;
      other.peer.close('a newer link of this host took over');
      this.#drop(other);
    }
  }

  #drop(link: HostLink): void {
    this.#open.delete(link);
    if (this.#links.get(link.hostId) === link) this.#links.delete(link.hostId);
  }

  #ended(link: HostLink, reason: string, breach: boolean): void {
    this.#drop(link);
    if (!breach) return;
    const message = (name: string): string => `The agent of host ${name} broke the protocol: ${reason}`;
    this.#write(link, this.#options.inventory.hostEvent(link.hostId, 'host.protocol-error', 'error', message));
  }

  #heartbeat(link: HostLink, { seq }: Heartbeat): void {
    const beat = this.#beats.get(link.hostId);
    if (beat === undefined || this.#links.get(link.hostId) !== link) return;
    link.peer.notify('heard', { seq });
    beat.lastMs = Math.max(beat.lastMs, this.#options.clock.now());
    this.#heard.set(link.hostId, this.#options.clock.now());
    if (beat.up) return;
    beat.up = true;
    this.#write(link, this.#recover(link));
  }

  /** The host was called down, but its link never broke: everything has to be asked for again. */
  async #recover(link: HostLink): Promise<void> {
    const answer = await link.peer.call(vmList.name, {}, { timeoutMs: listTimeoutMs });
    const { domains } = readResult(vmList, answer) as { readonly domains: Hello['domains'] };
    await this.#options.inventory.domains(link.hostId, domains);
  }

  /** What can't be written now is not lost: the link is closed, and the next hello tells everything. */
  #write(link: HostLink, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (this.#closed) return;
      if (link.peer.isOpen) this.#options.log(`a report of host ${link.hostId} could not be taken`, error);
      link.peer.close('the report could not be taken');
    });
  }

  #scheduleTick(): void {
    const { clock, log } = this.#options;
    const dueMs = clock.now() + heartbeatIntervalMs;
    this.#cancelTick = clock.after(heartbeatIntervalMs, () => {
      void this.#tick(clock.now() - dueMs)
        .catch((error: unknown) => log('the watch over hosts failed', error))
        .finally(() => {
          if (!this.#closed) this.#scheduleTick();
        });
    });
  }

  async #tick(lateMs: number): Promise<void> {
    const { clock, inventory, epoch } = this.#options;
    const now = clock.now();
    const current = epoch(); // Between two looks another manager may have led, and seen more than this one.
    if (current === undefined || (this.#leads !== undefined && this.#leads !== current)) this.#standBy();
    if (current === undefined) return;
    if (this.#leads === undefined) await this.#expectHosts(current);
    for (const [hostId, beat] of this.#beats) {
      if (lateMs > heartbeatIntervalMs / 2) beat.lastMs += lateMs;
      // Heard in the future, it would be up until then: the clock was set back.
      beat.lastMs = Math.min(beat.lastMs, now + startGraceMs);
      const silentMs = now - beat.lastMs;
      if (silentMs > closeAfterMs) this.#links.get(hostId)?.peer.close('no heartbeats came');
      if (!beat.up || silentMs <= downAfterMs) continue;
      beat.up = false;
      await inventory.hostDown(hostId);
    }
    if (now >= this.#nextSeenMs) {
      this.#nextSeenMs = now + rememberSeenEveryMs;
      await this.#rememberSeen(now);
    }
    if (now >= this.#nextRefreshMs) {
      this.#nextRefreshMs = now + refreshEveryMs;
      await inventory.refreshUnknown();
    }
  }

  /** Another manager leads: agents belong to it, and it alone says who is up. */
  #standBy(): void {
    this.#leads = undefined;
    this.#beats.clear();
    this.#heard.clear();
    this.#options.inventory.known.clear();
    for (const link of this.#open) link.peer.close('this manager does not lead');
  }

  /** Hosts that were up when the last leader ended get time to come back. */
  async #expectHosts(epoch: number): Promise<void> {
    const { store, clock } = this.#options;
    const lastMs = clock.now() + startGraceMs - downAfterMs;
    for (const { id } of await hosts.select(store.db, { state: 'up' })) {
      if (!this.#beats.has(id)) this.#beats.set(id, { lastMs, up: true });
    }
    this.#leads = epoch;
  }

  async #rememberSeen(now: number): Promise<void> {
    const seen = [...this.#beats].filter(([, beat]) => now - beat.lastMs <= 2 * heartbeatIntervalMs).map(([id]) => id);
    if (seen.length === 0) return;
    await this.#options.store.transaction(async (tx) => {
      for (let at = 0; at < seen.length; at += 500)
        await hosts.set(tx, { id: seen.slice(at, at + 500) }, { lastSeenAt: now });
    });
  }
}
