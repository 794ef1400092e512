/**
 * One connection to an OVSDB server: requests with their answers, notifications, and the echo that both sides use to find
 * out that the other is gone. Lives once: when it breaks, every open request fails with `disconnected`, `onEnd` is called,
 * and whoever owns it makes another (`ovsdb-client.ts`).
 */
import net from 'node:net';
import { JsonStream } from './json-stream.ts';
import { OvsdbError } from './ovsdb-operations.ts';

export interface ConnectionHandlers {
  readonly onNotification: (method: string, params: unknown) => void;
  /** Called once, however the connection ends. */
  readonly onEnd: () => void;
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** After this long without a word from the server it is asked; after as long again without an answer it counts as gone. */
const quietMs = 15_000;

export class OvsdbConnection {
  readonly #socket: net.Socket;
  readonly #handlers: ConnectionHandlers;
  readonly #stream = new JsonStream();
  readonly #pending = new Map<number, Pending>();
  readonly #probe: NodeJS.Timeout;
  #lastId = 0;
  #heard = true;
  #probing = false;
  #ended = false;

  private constructor(socket: net.Socket, handlers: ConnectionHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
    this.#probe = setInterval(() => this.#checkAlive(), quietMs).unref();
  }

  static connect(socketPath: string, handlers: ConnectionHandlers): Promise<OvsdbConnection> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(socketPath);
      const refuse = (error: Error) => reject(new OvsdbError('not connected', error.message));
      socket.once('error', refuse);
      socket.once('connect', () => {
        socket.off('error', refuse);
        resolve(new OvsdbConnection(socket, handlers));
      });
    });
  }

  request(method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.ask(method, params, timeoutMs, resolve, reject));
  }

  /** As `request`, but `resolve` runs before any later message is looked at: updates may follow in the same chunk. */
  ask(
    method: string,
    params: unknown,
    timeoutMs: number,
    resolve: (result: unknown) => void,
    reject: (error: Error) => void,
  ): void {
    if (this.#ended) return reject(new OvsdbError('not connected', null));
    const id = ++this.#lastId;
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(new OvsdbError('no answer', `${method} took more than ${timeoutMs} ms`));
    }, timeoutMs);
    this.#pending.set(id, { resolve, reject, timer });
    this.#send({ id, method, params });
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#probe);
    this.#socket.destroy();
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(new OvsdbError('disconnected', 'the database went away before it answered'));
    }
    this.#pending.clear();
    this.#handlers.onEnd();
  }

  #send(message: object): void {
    this.#socket.write(JSON.stringify(message));
  }

  #read(chunk: Buffer): void {
    this.#heard = true;
    this.#probing = false;
    try {
      for (const message of this.#stream.push(chunk)) this.#take(message as Message);
    } catch {
      this.close();
    }
  }

  #take(message: Message): void {
    if (message.method === 'echo') return this.#send({ id: message.id, result: message.params, error: null });
    if (message.method !== undefined) return this.#handlers.onNotification(message.method, message.params);
    const pending = this.#pending.get(message.id as number);
    if (pending === undefined) return;
    this.#pending.delete(message.id as number);
    clearTimeout(pending.timer);
    if (message.error === null || message.error === undefined) pending.resolve(message.result);
    else pending.reject(requestError(message.error));
  }

  #checkAlive(): void {
    if (this.#heard) {
      this.#heard = false;
      return;
    }
    if (this.#probing) return this.close();
    this.#probing = true;
    this.#send({ id: 'echo', method: 'echo', params: [] });
  }
}

function requestError(error: unknown): OvsdbError {
  if (typeof error === 'object' && error !== null && 'error' in error) {
    const details = 'details' in error ? String(error.details) : null;
    return new OvsdbError(String(error.error), details);
  }
  return new OvsdbError(typeof error === 'string' ? error : JSON.stringify(error), null);
}
