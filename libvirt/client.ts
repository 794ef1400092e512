/**
 * The client that the agent uses: it keeps a connection to the daemon, comes back by itself when it is lost, and offers
 * libvirt's operations in groups, each domain addressed by its UUID.
 *
 * Invariants. A call is never repeated by itself: without an answer it rejects, and `error.sent` says whether the daemon
 * may have carried it out. `connected` is emitted after the events are registered again; events of the time without a
 * connection are lost, so whoever follows domains lists them anew on each `connected`. Quick calls share one connection;
 * calls that may wait for QEMU or a guest, and streams, have their own (see Lane), so calls under way together have no
 * order among each other.
 */
import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs, type BackoffOptions } from './backoff.ts';
import type { Caller, CallRest, OpenedStream } from './caller.ts';
import type { CallOptions, Connection } from './connection.ts';
import { type DomainEvent, type DomainEventKind } from './domain-event.ts';
import { LibvirtConnectionError } from './error.ts';
import { domainEventKinds, eventIdOf } from './events.ts';
import type { KeepAliveOptions } from './keepalive.ts';
import type { MonitorEvent } from './monitor-event.ts';
import { BlockOperations } from './operations/block.ts';
import { ConsoleOperations } from './operations/console.ts';
import { DeviceOperations } from './operations/device.ts';
import { DomainOperations } from './operations/domain.ts';
import { GuestOperations } from './operations/guest.ts';
import { HostOperations } from './operations/host.ts';
import { MigrationOperations } from './operations/migration.ts';
import { StatisticsOperations } from './operations/statistics.ts';
import type { Procedure } from './procedure.ts';
import { type ArgsOf, type ProcedureName, procedures, type ResultOf } from './procedures/table.ts';
import { closeSession, openSession, type SessionOptions } from './session.ts';
import { SideConnections } from './side-connections.ts';

export interface LibvirtClientOptions {
  /** Default `/run/libvirt/libvirt-sock`. */
  readonly socketPath?: string;
  /** Default `qemu:///system`. */
  readonly uri?: string;
  /** Default: all kinds. */
  readonly events?: readonly DomainEventKind[];
  /** Names of events of QEMU's monitor; default: none. */
  readonly monitorEvents?: readonly string[];
  /** Default 100 ms to 5 s. */
  readonly backoff?: BackoffOptions;
  /** Default: a ping after 5 s of silence, dead after 3 in a row. */
  readonly keepAlive?: KeepAliveOptions;
  /** Default 5 s. */
  readonly connectTimeoutMs?: number;
  /** Quick calls in flight at once; default 4, one less than libvirtd's own default limit. */
  readonly maxInFlight?: number;
  /** Long calls at once; default 32. More wait for their turn. */
  readonly maxLongCalls?: number;
  /** For the daemon's answer before a stream; default 40 s, longer than libvirt waits for its turn at a domain. */
  readonly openStreamTimeoutMs?: number;
  /** Default Math.random; for the jitter. */
  readonly random?: () => number;
}

export interface LibvirtClientEvents {
  connected: [];
  /** The connection was lost; a new one is being tried. Not emitted by close(). */
  disconnected: [LibvirtConnectionError];
  /** An attempt to connect failed; the next one comes after `delayMs`. */
  retry: [error: Error, delayMs: number];
  event: [DomainEvent];
  monitor: [MonitorEvent];
}

export class LibvirtClient extends EventEmitter<LibvirtClientEvents> implements Caller {
  readonly host: HostOperations;
  readonly domain: DomainOperations;
  readonly device: DeviceOperations;
  readonly block: BlockOperations;
  readonly statistics: StatisticsOperations;
  readonly migration: MigrationOperations;
  readonly guest: GuestOperations;
  readonly console: ConsoleOperations;

  readonly #session: SessionOptions;
  readonly #events: readonly DomainEventKind[];
  readonly #monitorEvents: readonly string[];
  readonly #backoff: BackoffOptions;
  readonly #random: () => number;
  readonly #openStreamTimeoutMs: number;
  readonly #sides: SideConnections;
  readonly #streams = new Set<Connection>();
  readonly #closing = new AbortController();
  #main: Connection | undefined;
  #lastError: Error | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: LibvirtClientOptions = {}) {
    super();
    this.#session = {
      socketPath: options.socketPath ?? '/run/libvirt/libvirt-sock',
      uri: options.uri ?? 'qemu:///system',
      connectTimeoutMs: options.connectTimeoutMs ?? 5000,
      maxInFlight: options.maxInFlight ?? 4,
      keepAlive: options.keepAlive ?? { intervalMs: 5000, count: 3 },
    };
    this.#events = options.events ?? domainEventKinds;
    this.#monitorEvents = options.monitorEvents ?? [];
    this.#backoff = options.backoff ?? { minMs: 100, maxMs: 5000 };
    this.#random = options.random ?? Math.random;
    this.#openStreamTimeoutMs = options.openStreamTimeoutMs ?? 40_000;
    this.#sides = new SideConnections(() => openSession(this.#session), {
      maxOpen: options.maxLongCalls ?? 32,
      maxIdle: 2,
    });
    this.host = new HostOperations(this);
    this.domain = new DomainOperations(this);
    this.device = new DeviceOperations(this);
    this.block = new BlockOperations(this);
    this.statistics = new StatisticsOperations(this);
    this.migration = new MigrationOperations(this);
    this.guest = new GuestOperations(this);
    this.console = new ConsoleOperations(this);
  }

  get connected(): boolean {
    return this.#main !== undefined;
  }

  /** Begins to connect and keeps at it until close(). Idempotent. */
  start(): void {
    if (this.#closing.signal.aborted) throw new LibvirtConnectionError('CLOSED', 'the client was closed');
    this.#loop ??= this.#keepConnected();
  }

  /** Starts, and resolves once there is a connection. Rejects with CLOSED, or with the last failure after `timeoutMs`. */
  async connect(timeoutMs?: number): Promise<void> {
    this.start();
    if (this.connected) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const closed = (): void => reject(new LibvirtConnectionError('CLOSED', 'the client was closed'));
    const late = (): void => reject(this.#lastError ?? new LibvirtConnectionError('TIMEOUT', 'no connection in time'));
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    this.once('connected', resolve);
    this.#closing.signal.addEventListener('abort', closed);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.removeListener('connected', resolve);
      this.#closing.signal.removeEventListener('abort', closed);
    }
  }

  /** Ends all connections and streams; open calls reject with CLOSED. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#sides.closeAll();
    for (const connection of this.#streams) connection.end('CLOSED', 'the client was closed');
    if (this.#main !== undefined) await closeSession(this.#main);
    await this.#loop;
  }

  async call<N extends ProcedureName>(name: N, ...rest: CallRest<N>): Promise<ResultOf<N>> {
    const procedure: Procedure<unknown, unknown> = procedures[name];
    const [args, options]: [args?: unknown, options?: CallOptions] = rest;
    const main = this.#required();
    const result =
      procedure.lane === 'quick'
        ? await main.call(procedure, args, options)
        : await this.#sides.run((connection, left) => connection.call(procedure, args, left), options);
    return result as ResultOf<N>;
  }

  async openStream<N extends ProcedureName>(name: N, args: ArgsOf<N>): Promise<OpenedStream<N>> {
    this.#required();
    // No keepalive: a slow reader pauses this socket. The stream ends with the client's own connection instead.
    const connection = await openSession({ ...this.#session, keepAlive: null });
    this.#streams.add(connection);
    connection.once('close', () => this.#streams.delete(connection));
    try {
      const procedure: Procedure<unknown, unknown> = procedures[name];
      // A domain that hangs would keep this connection for good.
      const limit = { timeoutMs: this.#openStreamTimeoutMs };
      const { result, stream } = await connection.callWithStream(procedure, args, limit);
      // In order, so that the daemon has cleaned up after the stream before its connection goes.
      stream.once('close', () => void closeSession(connection));
      return { result: result as ResultOf<N>, stream };
    } catch (error) {
      connection.end('CLOSED', 'the stream was not opened');
      throw error;
    }
  }

  #required(): Connection {
    if (this.#main !== undefined) return this.#main;
    if (this.#closing.signal.aborted) throw new LibvirtConnectionError('CLOSED', 'the client was closed');
    const cause = this.#lastError;
    const reason = cause === undefined ? '' : `: ${cause.message}`;
    throw new LibvirtConnectionError('NOT_CONNECTED', `not connected to libvirt${reason}`, { cause });
  }

  async #keepConnected(): Promise<void> {
    let failures = 0;
    while (!this.#closing.signal.aborted) {
      try {
        const reason = await this.#oneConnection(() => {
          failures = 0;
        });
        this.#lastError = reason;
      } catch (error) {
        this.#lastError = error instanceof Error ? error : new Error(String(error));
      }
      if (this.#closing.signal.aborted) return;
      const delayMs = backoffMs(failures, this.#backoff, this.#random);
      failures += 1;
      const error = this.#lastError;
      this.#tell(() => this.emit('retry', error, delayMs));
      // Closing ends the wait.
      await delay(delayMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  /** From dialling to the end of one connection; resolves with the reason of its end. */
  async #oneConnection(opened: () => void): Promise<LibvirtConnectionError> {
    const connection = await openSession(this.#session, this.#closing.signal);
    const { promise: ended, resolve } = Promise.withResolvers<LibvirtConnectionError>();
    connection.once('close', resolve);
    connection.on('event', (event) => this.emit('event', event));
    connection.on('monitor', (event) => this.emit('monitor', event));
    try {
      await this.#registerEvents(connection);
    } catch (error) {
      connection.end('CLOSED', 'the events could not be registered');
      throw error;
    }
    if (this.#closing.signal.aborted) {
      await closeSession(connection);
      return ended;
    }
    this.#main = connection;
    opened();
    this.#tell(() => this.emit('connected'));
    const reason = await ended;
    this.#main = undefined;
    for (const stream of this.#streams) stream.end(reason.code, reason.message);
    if (!this.#closing.signal.aborted) this.#tell(() => this.emit('disconnected', reason));
    return reason;
  }

  /** A listener's exception is not taken for a failure of the connection; it surfaces as what it is, uncaught. */
  #tell(emit: () => void): void {
    try {
      emit();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  async #registerEvents(connection: Connection): Promise<void> {
    const timeoutMs = this.#session.connectTimeoutMs;
    await Promise.all([
      ...this.#events.map((kind) =>
        connection.call(
          procedures.connectDomainEventCallbackRegisterAny,
          { eventId: eventIdOf(kind), domain: null },
          { timeoutMs },
        ),
      ),
      ...this.#monitorEvents.map((event) =>
        connection.call(
          procedures.qemuConnectDomainMonitorEventRegister,
          { domain: null, event, flags: 0 },
          { timeoutMs },
        ),
      ),
    ]);
  }
}
