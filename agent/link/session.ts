/**
 * Keeps a link to the manager: dials, introduces this host, beats, reports what changes; dials again when it breaks.
 *
 * Invariants: domain events that happen while the introduction is under way follow it, none is lost in between; what
 * happens without a link is not queued, because the next introduction carries everything. Waits between attempts grow and
 * are jittered, so that a thousand hosts do not dial at once.
 */
import {
  type DomainChanged,
  heartbeatIntervalMs,
  type Heartbeat,
  type Hello,
  linkProtocolVersion,
  longestManagerSilenceMs,
  Heard,
  Welcome,
} from '@kvasir/api/agent/link.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { Peer } from '@kvasir/api/agent/wire/peer.ts';
import type { Streams } from '@kvasir/api/agent/wire/streams.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Compile } from 'typebox/compile';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../log.ts';
import { freshLink } from './fresh-link.ts';

export interface SessionOptions {
  /** Opens a link to the manager; rejects when there is none. */
  readonly dial: (signal: AbortSignal) => Promise<Link>;
  readonly clock: Clock;
  /** In [0, 1), for jitter. */
  readonly fraction: () => number;
  readonly journal: Journal;
  readonly log: Log;
  readonly hello: () => Promise<Omit<Hello, 'protocol'>>;
  readonly status: () => Omit<Heartbeat, 'seq' | 'atMs'>;
  readonly request: (method: string, params: unknown, streams: Streams) => Promise<unknown>;
}

const firstWaitMs = 250;
const longestWaitMs = 3000;
const helloTimeoutMs = 30_000;
const checkWelcome = Compile(Welcome);
const checkHeard = Compile(Heard);
/** An answer to an older heartbeat was on its way for too long to tell of now. */
const freshAnswers = 2;

export class Session {
  readonly #options: SessionOptions;
  readonly #stop = new AbortController();
  #peer: Peer | null = null;
  #introduced = false;
  #lastBeat = 0;
  #timesHeard = 0;
  /** Notifications that happened during the introduction. */
  #held: { readonly method: string; readonly params: unknown }[] = [];
  #done: Promise<void> | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get isConnected(): boolean {
    return this.#introduced;
  }

  /** Grows with each welcome, and with each answer to a heartbeat that was just sent. */
  get timesHeard(): number {
    return this.#timesHeard;
  }

  /** Ends the link, if there is one; the next one brings everything anew. */
  drop(reason: string): void {
    this.#peer?.close(reason);
  }

  start(): void {
    this.#done ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the agent stops'));
    this.#peer?.close('the agent stops');
    await this.#done;
  }

  notify(method: string, params: unknown): void {
    if (this.#introduced) this.#peer?.notify(method, params);
    else if (this.#peer !== null) this.#hold(method, params);
  }

  /** Of several reports of one domain only the last is worth telling. */
  #hold(method: string, params: unknown): void {
    const vmOf = (report: unknown): string | undefined => (report as Partial<DomainChanged>).domain?.vmId;
    const vmId = vmOf(params);
    if (vmId !== undefined) this.#held = this.#held.filter((held) => vmOf(held.params) !== vmId);
    this.#held.push({ method, params });
  }

  async #run(): Promise<void> {
    const { clock, log, fraction } = this.#options;
    const { signal } = this.#stop;
    let failures = 0;
    let lastProblem = '';
    while (!signal.aborted) {
      let problem: string;
      try {
        const reason = await this.#once(signal, () => {
          failures = 0;
        });
        problem = `the link to the manager ended: ${reason}`;
      } catch (error) {
        problem = `no link to the manager: ${error instanceof Error ? error.message : String(error)}`;
      }
      if (signal.aborted) return;
      if (problem !== lastProblem) log(problem);
      lastProblem = problem;
      const ceiling = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(failures, 10));
      failures += 1;
      await clock.sleep(ceiling * (0.5 + fraction() / 2), signal).catch(() => {});
    }
  }

  /** One link from dialling to its end; answers why it ended. */
  async #once(signal: AbortSignal, onWelcome: () => void): Promise<string> {
    const { dial, clock, log, request } = this.#options;
    const link = freshLink(await dial(signal), clock, longestManagerSilenceMs);
    const peer: Peer = new Peer(link, clock, 'odd', {
      request: (method, params) => request(method, params, peer.streams),
      notification: (method, params) => this.#told(method, params),
    });
    this.#peer = peer;
    try {
      if (signal.aborted) throw signal.reason;
      await this.#introduce(peer);
      onWelcome();
      log('linked to the manager');
      this.#beat(peer, 1);
      return (await peer.ended).reason;
    } finally {
      peer.close('the agent gave up');
      this.#peer = null;
      this.#introduced = false;
      this.#held = [];
    }
  }

  async #introduce(peer: Peer): Promise<void> {
    const { journal, hello } = this.#options;
    const params = { protocol: linkProtocolVersion, ...(await hello()) };
    const welcome = await peer.call('hello', params, { timeoutMs: helloTimeoutMs });
    if (!checkWelcome.Check(welcome)) throw new Error('the manager answered hello with something else');
    const { epoch } = welcome;
    if (epoch < journal.epoch) throw new KvasirError('stale-epoch', { epoch, known: journal.epoch });
    await journal.raiseEpoch(epoch);
    this.#introduced = true;
    this.#timesHeard += 1;
    for (const { method, params: held } of this.#held.splice(0)) peer.notify(method, held);
  }

  #told(method: string, params: unknown): void {
    if (method === 'heard' && checkHeard.Check(params) && params.seq > this.#lastBeat - freshAnswers) {
      this.#timesHeard += 1;
    }
  }

  #beat(peer: Peer, seq: number): void {
    if (!peer.isOpen) return;
    this.#lastBeat = seq;
    peer.notify('heartbeat', { seq, atMs: this.#options.clock.now(), ...this.#options.status() });
    this.#options.clock.after(heartbeatIntervalMs, () => this.#beat(peer, seq + 1));
  }
}
