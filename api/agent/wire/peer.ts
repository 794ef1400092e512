/**
 * One end of an agent link: calls, notifications and streams over a `Link`. The same code serves both ends.
 *
 * Invariants: calls are pipelined and may be answered in any order; every call ends (answer, timeout, abort or the link's
 * end); a message that breaks the protocol closes the link, because nothing after it can be trusted.
 */
import { KvasirError } from '../../errors.ts';
import { type Link, type LinkClock, LinkClosedError } from './link.ts';
import { errorText, notificationText, parseMessage, requestText, resultText } from './message.ts';
import { Streams } from './streams.ts';

export interface PeerHandlers {
  request(method: string, params: unknown): Promise<unknown>;
  /** A throw closes the link as a breach of the protocol. */
  notification(method: string, params: unknown): void;
}

export interface CallOptions {
  /** No limit when left out. */
  readonly timeoutMs?: number;
  /** Ends the wait, not the work on the other side. */
  readonly signal?: AbortSignal;
}

export interface LinkEnd {
  readonly reason: string;
  /** The other side broke the protocol. */
  readonly breach: boolean;
}

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Peer {
  readonly streams: Streams;
  /** Resolves, once, when the link is gone. */
  readonly ended: Promise<LinkEnd>;
  readonly #link: Link;
  readonly #clock: LinkClock;
  readonly #handlers: PeerHandlers;
  readonly #calls = new Map<number, PendingCall>();
  readonly #resolveEnded: (end: LinkEnd) => void;
  #nextId = 1;
  #end: LinkEnd | null = null;
  #breach: string | null = null;

  constructor(link: Link, clock: LinkClock, opens: 'odd' | 'even', handlers: PeerHandlers) {
    this.#link = link;
    this.#clock = clock;
    this.#handlers = handlers;
    this.streams = new Streams((message, flushed) => link.sendBytes(message, flushed), clock, opens);
    const { promise, resolve } = Promise.withResolvers<LinkEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    link.attach({
      text: (message) => this.#takeText(message),
      bytes: (message) => this.#takeBytes(message),
      closed: (reason) => this.#closed(reason),
    });
  }

  get isOpen(): boolean {
    return this.#end === null && this.#breach === null;
  }

  /** @throws KvasirError as the other side answered, `timeout`; LinkClosedError; the signal's reason */
  call(method: string, params: unknown, options: CallOptions = {}): Promise<unknown> {
    const { timeoutMs, signal } = options;
    if (!this.isOpen) return Promise.reject(new LinkClosedError(this.#end?.reason ?? 'closing'));
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const abort = (): void => settle(() => reject(signal?.reason as Error));
      const cancelTimer =
        timeoutMs === undefined
          ? undefined
          : this.#clock.after(timeoutMs, () =>
              settle(() => reject(new KvasirError('timeout', { what: method, timeoutMs }))),
            );
      const settle = (finish: () => void): void => {
        if (!this.#calls.delete(id)) return;
        cancelTimer?.();
        signal?.removeEventListener('abort', abort);
        finish();
      };
      this.#calls.set(id, {
        resolve: (result) => settle(() => resolve(result)),
        reject: (error) => settle(() => reject(error)),
      });
      signal?.addEventListener('abort', abort);
      this.#link.sendText(requestText(id, method, params));
    });
  }

  notify(method: string, params: unknown): void {
    if (this.isOpen) this.#link.sendText(notificationText(method, params));
  }

  close(reason: string): void {
    this.#link.close(reason);
  }

  /** Closes the link because the other side broke the protocol. */
  refuse(breach: string): void {
    if (!this.isOpen) return;
    this.#breach = breach;
    this.#link.close(breach.slice(0, 100));
  }

  #takeText(text: string): void {
    if (!this.isOpen) return;
    const message = parseMessage(text);
    if (typeof message === 'string') {
      this.refuse(message);
      return;
    }
    switch (message.form) {
      case 'request':
        void this.#answer(message.id, message.method, message.params);
        break;
      case 'notification':
        try {
          this.#handlers.notification(message.method, message.params);
        } catch (error) {
          this.refuse(error instanceof Error ? error.message : String(error));
        }
        break;
      case 'result':
        this.#calls.get(message.id)?.resolve(message.result);
        break;
      case 'error':
        this.#calls.get(message.id)?.reject(message.error);
        break;
    }
  }

  async #answer(id: number, method: string, params: unknown): Promise<void> {
    let text: string;
    try {
      text = resultText(id, await this.#handlers.request(method, params));
    } catch (error) {
      text = errorText(id, error);
    }
    if (this.isOpen) this.#link.sendText(text);
  }

  #takeBytes(message: Buffer): void {
    if (!this.isOpen) return;
    const breach = this.streams.receive(message);
    if (breach !== undefined) this.refuse(breach);
  }

  #closed(reason: string): void {
    if (this.#end !== null) return;
    this.#end = { reason: this.#breach ?? reason, breach: this.#breach !== null };
    for (const call of this.#calls.values()) call.reject(new LinkClosedError(this.#end.reason));
    this.streams.cut(this.#end.reason);
    this.#resolveEnded(this.#end);
  }
}
