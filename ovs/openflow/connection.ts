/**
 * One OpenFlow 1.4 connection over a unix socket: the greeting, requests with their answers, the echo that both sides use
 * to find out that the other is gone. Lives once: when it breaks, every open request fails with `disconnected`, `onEnd` is
 * called, and whoever owns it makes another.
 *
 * The switch works through messages in order and answers only questions, refusals apart: what was sent without a question
 * is known to be accepted when the barrier after it is answered. So refusals of such messages are kept by transaction id
 * until somebody asks for them (`watchRefusals`).
 */
import net from 'node:net';
import { OpenFlowError, refused } from './errors.ts';
import { encodeMessage, type Message, MessageStream, messageType, openFlow14 } from './message.ts';

export interface ConnectionHandlers {
  /** Everything that answers no request: packets, port changes, flow monitors. */
  readonly onMessage: (message: Message) => void;
  /** Called once, however the connection ends. */
  readonly onEnd: () => void;
}

interface Pending {
  readonly what: string;
  readonly parts: Buffer[];
  readonly resolve: (answer: Message) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Version bitmap with OpenFlow 1.4 only, as one hello element. */
const helloBody = Buffer.from([0, 1, 0, 8, 0, 0, 0, 1 << openFlow14]);
const quietMs = 15_000;
const moreFollow = 1;

export class OpenFlowConnection {
  readonly #socket: net.Socket;
  readonly #handlers: ConnectionHandlers;
  readonly #timeoutMs: number;
  readonly #stream = new MessageStream();
  readonly #pending = new Map<number, Pending>();
  readonly #refusalWatchers = new Set<(xid: number, body: Buffer) => void>();
  readonly #probe: NodeJS.Timeout;
  #lastXid = 0;
  #greeted: ((error: Error | null) => void) | null = null;
  #heard = true;
  #ended = false;

  private constructor(socket: net.Socket, handlers: ConnectionHandlers, timeoutMs: number) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#timeoutMs = timeoutMs;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
    this.#probe = setInterval(() => this.#checkAlive(), quietMs).unref();
  }

  /** @throws OpenFlowError `not connected`, `version`, `no answer`, `disconnected` */
  static async connect(
    socketPath: string,
    handlers: ConnectionHandlers,
    timeoutMs: number,
  ): Promise<OpenFlowConnection> {
    const socket = net.connect(socketPath);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (error) => reject(new OpenFlowError('not connected', error.message)));
    });
    const connection = new OpenFlowConnection(socket, handlers, timeoutMs);
    await connection.#greet();
    return connection;
  }

  nextXid(): number {
    this.#lastXid = (this.#lastXid % 0x7fffffff) + 1;
    return this.#lastXid;
  }

  /** Sends without waiting. Returns the transaction id, under which a refusal would come. */
  send(type: number, body: Buffer): number {
    const xid = this.nextXid();
    this.write(encodeMessage(type, xid, body));
    return xid;
  }

  /** Whole messages, made with `encodeMessage`. */
  write(bytes: Buffer): void {
    if (this.#ended) throw new OpenFlowError('not connected', 'the connection to the switch is closed');
    this.#socket.write(bytes);
  }

  /** `what` names the request in errors. @throws OpenFlowError */
  request(type: number, body: Buffer, what: string): Promise<Message> {
    return this.#ask(type, body, what).then(({ answer }) => answer);
  }

  /** All parts of the answer, without their multipart headers. @throws OpenFlowError */
  async multipart(type: number, body: Buffer, what: string): Promise<Buffer[]> {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(type, 0);
    const { parts } = await this.#ask(messageType.multipartRequest, Buffer.concat([head, body]), what);
    return parts;
  }

  /** When it returns, the switch has worked through everything sent before. */
  async barrier(): Promise<void> {
    await this.request(messageType.barrierRequest, Buffer.alloc(0), 'a barrier');
  }

  /** Calls back for refusals of messages that nobody waits for, until the returned function is called. */
  watchRefusals(watcher: (xid: number, body: Buffer) => void): () => void {
    this.#refusalWatchers.add(watcher);
    return () => this.#refusalWatchers.delete(watcher);
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#probe);
    this.#socket.destroy();
    this.#greeted?.(new OpenFlowError('disconnected', 'the switch hung up during the greeting'));
    for (const { what, reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new OpenFlowError('disconnected', `the switch went away before it answered ${what}`));
    }
    this.#pending.clear();
    this.#handlers.onEnd();
  }

  #ask(type: number, body: Buffer, what: string): Promise<{ readonly answer: Message; readonly parts: Buffer[] }> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new OpenFlowError('not connected', 'the connection to the switch is closed'));
      const xid = this.nextXid();
      const timer = setTimeout(() => {
        this.#pending.delete(xid);
        reject(new OpenFlowError('no answer', `${what} took the switch more than ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      const parts: Buffer[] = [];
      this.#pending.set(xid, { what, parts, resolve: (answer) => resolve({ answer, parts }), reject, timer });
      this.#socket.write(encodeMessage(type, xid, body));
    });
  }

  #greet(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#greeted?.(new OpenFlowError('no answer', `no greeting from the switch within ${this.#timeoutMs} ms`));
        this.close();
      }, this.#timeoutMs);
      this.#greeted = (error) => {
        this.#greeted = null;
        clearTimeout(timer);
        if (error === null) return resolve();
        reject(error);
        this.close();
      };
      this.#socket.write(encodeMessage(messageType.hello, this.nextXid(), helloBody));
    });
  }

  #read(chunk: Buffer): void {
    this.#heard = true;
    try {
      for (const message of this.#stream.push(chunk)) this.#take(message);
    } catch (error) {
      if (!(error instanceof RangeError) && !(error instanceof OpenFlowError)) throw error;
      this.close();
    }
  }

  #take(message: Message): void {
    const { type, xid, body } = message;
    if (type === messageType.hello) return this.#hello(message);
    if (type === messageType.echoRequest) {
      this.#socket.write(encodeMessage(messageType.echoReply, xid, body));
      return;
    }
    if (type === messageType.error) return this.#refusal(xid, body);
    const pending = this.#pending.get(xid);
    if (pending === undefined) return this.#handlers.onMessage(message);
    if (type === messageType.multipartReply) {
      pending.parts.push(body.subarray(8));
      if ((body.readUInt16BE(2) & moreFollow) !== 0) {
        pending.timer.refresh();
        return;
      }
    }
    this.#settled(xid, pending);
    pending.resolve(message);
  }

  #hello({ version, body }: Message): void {
    const bitmap = body.length >= 8 && body.readUInt16BE(0) === 1 ? body.readUInt32BE(4) : null;
    const speaks = bitmap === null ? version >= openFlow14 : (bitmap & (1 << openFlow14)) !== 0;
    this.#greeted?.(speaks ? null : new OpenFlowError('version', 'the switch does not speak OpenFlow 1.4'));
  }

  #refusal(xid: number, body: Buffer): void {
    if (this.#greeted !== null) return this.#greeted(refused(body, 'the greeting'));
    const pending = this.#pending.get(xid);
    if (pending === undefined) {
      for (const watcher of this.#refusalWatchers) watcher(xid, body);
      return;
    }
    this.#settled(xid, pending);
    pending.reject(refused(body, pending.what));
  }

  #settled(xid: number, pending: Pending): void {
    this.#pending.delete(xid);
    clearTimeout(pending.timer);
  }

  /** An echo that stays without an answer closes the connection by its timeout. */
  #checkAlive(): void {
    if (this.#heard) {
      this.#heard = false;
      return;
    }
    this.request(messageType.echoRequest, Buffer.alloc(0), 'an echo').catch(() => this.close());
  }
}
