/**
 * One connection to a libvirt daemon over its unix socket: calls, events, streams, keepalive.
 *
 * Invariants. Serials are unique in a connection's life. At most `maxInFlight` calls await an answer and the rest queue
 * here, because a daemon with too many open calls stops reading the socket, keepalive included (`max_client_requests`,
 * 5 unless configured). When the connection ends, for whatever reason, every open call rejects and every stream fails,
 * and `close` is emitted once. A message that cannot be read ends the connection: after it nothing can be trusted.
 */
import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import { decode, encode } from './codec.ts';
import type { DomainEvent } from './domain-event.ts';
import { LibvirtConnectionError, LibvirtError } from './error.ts';
import { readDomainEvent } from './events.ts';
import { KeepAlive, type KeepAliveOptions } from './keepalive.ts';
import { frame, type Message, MessageReader, messageStatus, messageType } from './message.ts';
import { keepAliveProgram, type Procedure, qemuProgram, remoteProgram } from './procedure.ts';
import { type MonitorEvent, monitorEventProcedure, readMonitorEvent } from './monitor-event.ts';
import { LibvirtStream } from './stream.ts';
import { wireError } from './wire-types.ts';

export interface ConnectionEvents {
  event: [DomainEvent];
  monitor: [MonitorEvent];
  close: [LibvirtConnectionError];
}

export interface CallOptions {
  /** After so long without an answer the call rejects with TIMEOUT; the daemon may still carry it out. */
  readonly timeoutMs?: number;
}

interface OpenCall {
  readonly procedure: Procedure<unknown, unknown>;
  readonly serial: number;
  readonly bytes: Buffer;
  readonly withStream: boolean;
  readonly settle: (error: Error | null, result?: unknown, stream?: LibvirtStream) => void;
}

export class Connection extends EventEmitter<ConnectionEvents> {
  readonly #socket: Socket;
  readonly #reader = new MessageReader();
  readonly #calls = new Map<number, OpenCall>();
  readonly #queue: OpenCall[] = [];
  readonly #streams = new Map<number, LibvirtStream>();
  readonly #maxInFlight: number;
  #keepAlive: KeepAlive | undefined;
  #serial = 0;
  #ended: LibvirtConnectionError | undefined;

  private constructor(socket: Socket, maxInFlight: number) {
    super();
    this.#socket = socket;
    this.#maxInFlight = maxInFlight;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (cause) => this.end('CONNECTION_LOST', `connection to libvirt lost: ${cause.message}`, cause));
    socket.on('close', () => this.end('CONNECTION_LOST', 'libvirt closed the connection'));
  }

  /** A raw connection, before any procedure. Rejects with CONNECT_FAILED. */
  static async dial(socketPath: string, options: { maxInFlight: number; timeoutMs: number }): Promise<Connection> {
    const socket = connect({ path: socketPath });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('connect', resolve);
    socket.once('error', reject);
    const timer = setTimeout(() => reject(new Error(`no answer in ${options.timeoutMs} ms`)), options.timeoutMs);
    try {
      await promise;
    } catch (cause) {
      socket.destroy();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new LibvirtConnectionError('CONNECT_FAILED', `no connection to libvirt at ${socketPath}: ${reason}`, {
        cause,
      });
    } finally {
      clearTimeout(timer);
      socket.removeListener('error', reject);
    }
    return new Connection(socket, options.maxInFlight);
  }

  /** Why the connection is over, or undefined while it lives. */
  get ended(): LibvirtConnectionError | undefined {
    return this.#ended;
  }

  /** Whether the daemon still owes an answer, be it to a call that was given up. */
  get busy(): boolean {
    return this.#calls.size > 0;
  }

  startKeepAlive(options: KeepAliveOptions): void {
    if (this.#ended !== undefined) return;
    this.#keepAlive = new KeepAlive(options, {
      ping: () => this.#sendKeepAlive(1),
      giveUp: () => this.end('KEEPALIVE_TIMEOUT', 'libvirt stopped answering'),
    });
  }

  /** Rejects with LibvirtError when the daemon refuses, with LibvirtConnectionError when no answer comes. */
  async call<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: NoInfer<Args>,
    options: CallOptions = {},
  ): Promise<Result> {
    const { result } = await this.#start(procedure, args, options, false);
    return result;
  }

  /** Calls a procedure whose answer is followed by a stream. */
  async callWithStream<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: NoInfer<Args>,
    options: CallOptions = {},
  ): Promise<{ readonly result: Result; readonly stream: LibvirtStream }> {
    const { result, stream } = await this.#start(procedure, args, options, true);
    if (stream === undefined) throw new LibvirtConnectionError('PROTOCOL', 'no stream was opened', { sent: true });
    return { result, stream };
  }

  #start<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options: CallOptions, withStream: boolean) {
    const { promise, resolve, reject } = Promise.withResolvers<{ result: Result; stream?: LibvirtStream }>();
    if (this.#ended !== undefined) {
      reject(this.#ended.forCall(false));
      return promise;
    }
    this.#serial = (this.#serial + 1) >>> 0;
    const serial = this.#serial;
    let bytes: Buffer;
    try {
      const header = { program: procedure.program, procedure: procedure.number, type: messageType.call };
      bytes = frame({ ...header, serial, status: messageStatus.ok }, encode(procedure.args, args));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      reject(new LibvirtConnectionError('INVALID_CALL', `the call cannot be sent: ${reason}`, { cause }));
      return promise;
    }
    let timer: NodeJS.Timeout | undefined;
    const settle: OpenCall['settle'] = (error, result, stream) => {
      clearTimeout(timer);
      if (error !== null) reject(error);
      else resolve({ result: result as Result, ...(stream === undefined ? {} : { stream }) });
    };
    const call: OpenCall = { procedure, serial, bytes, withStream, settle };
    if (options.timeoutMs !== undefined) {
      timer = setTimeout(() => this.#timeOut(call), options.timeoutMs);
    }
    this.#queue.push(call);
    this.#flush();
    return promise;
  }

  /** A call that the daemon has keeps its place among those in flight: its answer is still to come. */
  #timeOut(call: OpenCall): void {
    const place = this.#queue.indexOf(call);
    if (place !== -1) this.#queue.splice(place, 1);
    call.settle(new LibvirtConnectionError('TIMEOUT', 'libvirt did not answer in time', { sent: place === -1 }));
  }

  #flush(): void {
    while (this.#calls.size < this.#maxInFlight) {
      const call = this.#queue.shift();
      if (call === undefined) return;
      this.#calls.set(call.serial, call);
      this.#socket.write(call.bytes);
    }
  }

  #receive(chunk: Buffer): void {
    this.#keepAlive?.heard();
    try {
      for (const message of this.#reader.push(chunk)) {
        if (this.#ended !== undefined) return;
        this.#dispatch(message);
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.end('PROTOCOL', `libvirt sent what cannot be read: ${reason}`, cause);
    }
  }

  #dispatch(message: Message): void {
    if (message.program === keepAliveProgram) {
      if (message.procedure === 1) this.#sendKeepAlive(2);
    } else if (message.type === messageType.reply) this.#reply(message);
    else if (message.type === messageType.stream) this.#streamPacket(message);
    else if (message.type === messageType.event && message.program === remoteProgram) {
      const event = readDomainEvent(message.procedure, message.body);
      if (event !== null) this.#emitLater(() => this.emit('event', event));
    } else if (message.type === messageType.event && message.program === qemuProgram) {
      if (message.procedure !== monitorEventProcedure) return;
      const event = readMonitorEvent(message.body);
      this.#emitLater(() => this.emit('monitor', event));
    }
  }

  /** A listener's exception is the listener's bug and must not be taken for a protocol error. */
  #emitLater(emit: () => void): void {
    queueMicrotask(emit);
  }

  #reply(message: Message): void {
    const call = this.#calls.get(message.serial);
    if (call === undefined) throw new Error(`an answer to the unknown call ${message.serial}`);
    this.#calls.delete(message.serial);
    try {
      if (message.status === messageStatus.error) {
        call.settle(new LibvirtError(decode(wireError, message.body)));
      } else {
        const result = decode(call.procedure.result, message.body);
        call.settle(null, result, call.withStream ? this.#openStream(message) : undefined);
      }
    } catch (cause) {
      call.settle(new LibvirtConnectionError('PROTOCOL', 'the answer cannot be read', { sent: true, cause }));
      throw cause;
    }
    this.#flush();
  }

  #openStream({ program, procedure, serial }: Message): LibvirtStream {
    const send = (status: number, body: Uint8Array, written?: () => void): void => {
      if (this.#ended !== undefined) return written?.();
      const bytes = frame({ program, procedure, type: messageType.stream, serial, status }, body);
      this.#socket.write(bytes, () => written?.());
    };
    const stream = new LibvirtStream({
      data: (chunk, written) => send(messageStatus.more, chunk, written),
      finish: () => send(messageStatus.ok, Buffer.alloc(0)),
      abort: () => {
        this.#streams.delete(serial);
        send(messageStatus.error, Buffer.alloc(0));
      },
      abandon: () => this.#streams.delete(serial),
      pause: () => this.#socket.pause(),
      resume: () => this.#socket.resume(),
    });
    this.#streams.set(serial, stream);
    return stream;
  }

  #streamPacket({ serial, status, body }: Message): void {
    const stream = this.#streams.get(serial);
    // The daemon sends what it had queued, and its confirmation, after a stream is over here.
    if (stream === undefined) return;
    if (status !== messageStatus.more) this.#streams.delete(serial);
    if (status === messageStatus.more) stream.received(body);
    else if (status === messageStatus.ok) stream.finished();
    else stream.failed(new LibvirtError(decode(wireError, body)));
  }

  #sendKeepAlive(procedure: 1 | 2): void {
    const header = { program: keepAliveProgram, procedure, type: messageType.event, serial: 0 };
    this.#socket.write(frame({ ...header, status: messageStatus.ok }, Buffer.alloc(0)));
  }

  /** Ends the connection at once; the first reason stays. */
  end(code: LibvirtConnectionError['code'], message: string, cause?: unknown): void {
    if (this.#ended !== undefined) return;
    const reason = new LibvirtConnectionError(code, message, { cause });
    this.#ended = reason;
    this.#keepAlive?.stop();
    this.#socket.destroy();
    for (const call of this.#calls.values()) call.settle(reason.forCall(true));
    for (const call of this.#queue.splice(0)) call.settle(reason.forCall(false));
    this.#calls.clear();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.failed(reason.forCall(true));
    this.emit('close', reason);
  }
}
