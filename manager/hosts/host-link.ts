/**
 * One agent's link, from its introduction to its end. Turns what the agent says into typed reports; decides nothing.
 *
 * Invariants: nothing is taken before `hello`; the host is the one of the certificate, whatever hello says; what does not fit
 * the contract ends the link as a breach.
 */
import {
  type DomainChanged,
  type Heartbeat,
  type Hello,
  linkProtocolVersion,
  type NetworkChanged,
  type PoolsChanged,
  type Progress,
  type Welcome,
} from '@kvasir/api/agent/link.ts';
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { type LinkEnd, Peer } from '@kvasir/api/agent/wire/peer.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import {
  readDomainChanged,
  readHeartbeat,
  readHello,
  readLiveness,
  readNetworkChanged,
  readPoolsChanged,
  readProgress,
} from './reports.ts';

export interface HostLinkEvents {
  /** Answers how the agent is welcomed. @throws KvasirError that the agent gets as answer */
  hello(link: HostLink, hello: Hello): Promise<Welcome>;
  heartbeat(link: HostLink, heartbeat: Heartbeat): void;
  domainChanged(link: HostLink, report: DomainChanged): void;
  poolsChanged(link: HostLink, report: PoolsChanged): void;
  networkChanged(link: HostLink, report: NetworkChanged): void;
  liveness(link: HostLink, report: Liveness): void;
  ended(link: HostLink, end: LinkEnd): void;
}

const helloWithinMs = 15_000;

export class HostLink {
  readonly hostId: string;
  readonly peer: Peer;
  readonly #events: HostLinkEvents;
  readonly #progress = new Map<string, Set<(progress: Progress) => void>>();
  #hello: Hello | null = null;
  #welcomed = false;

  constructor(link: Link, hostId: string, clock: Clock, events: HostLinkEvents) {
    this.hostId = hostId;
    this.#events = events;
    this.peer = new Peer(link, clock, 'even', {
      request: (method, params) => this.#request(method, params),
      notification: (method, params) => this.#notification(method, params),
    });
    const cancel = clock.after(helloWithinMs, () => {
      if (this.#hello === null) this.peer.close('no hello came');
    });
    void this.peer.ended.then((end) => {
      cancel();
      events.ended(this, end);
    });
  }

  /** Of the agent process; undefined before hello. */
  get instanceId(): string | undefined {
    return this.#hello?.instanceId;
  }

  /** Calls `listener` with each progress report of the change with this key; the answer ends it. */
  onProgress(key: string, listener: (progress: Progress) => void): () => void {
    const listeners = this.#progress.get(key) ?? new Set();
    this.#progress.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#progress.delete(key);
    };
  }

  async #request(method: string, params: unknown): Promise<unknown> {
    if (method !== 'hello') throw new KvasirError('unsupported', { reason: `The manager does not know ${method}` });
    let hello: Hello;
    try {
      hello = readHello(params);
      if (this.#hello !== null) throw new Error('a second hello');
      if (hello.hostId !== this.hostId) throw new Error(`hello of ${hello.hostId} with another host's certificate`);
    } catch (error) {
      this.peer.refuse((error as Error).message);
      throw error;
    }
    if (hello.protocol !== linkProtocolVersion) {
      const reason = `The agent speaks version ${hello.protocol} of the link, the manager ${linkProtocolVersion}`;
      throw new KvasirError('unsupported', { reason });
    }
    this.#hello = hello;
    const welcome = await this.#events.hello(this, hello);
    this.#welcomed = true;
    return welcome;
  }

  #notification(method: string, params: unknown): void {
    if (!this.#welcomed) throw new Error(`${method} before hello was answered`);
    switch (method) {
      case 'heartbeat':
        return this.#events.heartbeat(this, readHeartbeat(params));
      case 'domain-changed':
        return this.#events.domainChanged(this, readDomainChanged(params));
      case 'pools-changed':
        return this.#events.poolsChanged(this, readPoolsChanged(params));
      case 'network-changed':
        return this.#events.networkChanged(this, readNetworkChanged(params));
      case 'liveness':
        return this.#events.liveness(this, readLiveness(params));
      case 'progress': {
        const progress = readProgress(params);
        for (const listener of this.#progress.get(progress.key) ?? []) listener(progress);
        return;
      }
      default:
        throw new Error(`an unknown notification ${method.slice(0, 64)}`);
    }
  }
}
