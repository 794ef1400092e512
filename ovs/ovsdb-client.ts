/**
 * A client of one OVSDB database over a unix socket (RFC 7047). Connects at the first use and again whenever the server
 * comes back, with a jittered delay; monitors are renewed then.
 *
 * A request that was sent when the connection broke fails with `disconnected`: it may have happened or not, so callers
 * make their transactions repeatable. Nothing is sent twice by the client itself.
 */
import { OvsdbConnection } from './ovsdb-connection.ts';
import { type MonitoredTables, OvsdbMonitor, type TableUpdates } from './ovsdb-monitor.ts';
import { checkResults, type Operation, type OperationResult, OvsdbError } from './ovsdb-operations.ts';
import { optionalNumber } from './ovsdb-values.ts';

export interface OvsdbClientOptions {
  readonly socketPath: string;
  /** Default `Open_vSwitch`. */
  readonly database?: string;
  /** Of one request, waiting for the connection included; default 30 s. */
  readonly timeoutMs?: number;
  /** Spreads the reconnects; default `Math.random`. */
  readonly random?: () => number;
}

const firstDelayMs = 50;
const longestDelayMs = 5_000;

export class OvsdbClient {
  readonly #socketPath: string;
  readonly #database: string;
  readonly #timeoutMs: number;
  readonly #random: () => number;
  readonly #monitors = new Map<string, OvsdbMonitor>();
  readonly #connectionWaiters = new Set<() => void>();
  #connection: OvsdbConnection | null = null;
  #retry: NodeJS.Timeout | null = null;
  #connecting = false;
  #failures = 0;
  #lastMonitor = 0;
  #closed = false;
  #configuration: OvsdbMonitor | null = null;

  constructor(options: OvsdbClientOptions) {
    this.#socketPath = options.socketPath;
    this.#database = options.database ?? 'Open_vSwitch';
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#random = options.random ?? Math.random;
  }

  get connected(): boolean {
    return this.#connection !== null;
  }

  /** Runs the operations as one transaction: all or nothing. Throws `OvsdbError`. */
  async transact(operations: readonly Operation[]): Promise<OperationResult[]> {
    const connection = await this.#connected();
    const results = await connection.request('transact', [this.#database, ...operations], this.#timeoutMs);
    return checkResults(results, operations);
  }

  /**
   * As `transact`, then waits until ovs-vswitchd has put it into force (`cur_cfg` reached our `next_cfg`). Throws
   * `timed out` when vswitchd does not: the transaction itself stays.
   */
  async commit(operations: readonly Operation[]): Promise<OperationResult[]> {
    this.#configuration ??= this.monitor({ Open_vSwitch: ['cur_cfg'] });
    const results = await this.transact([
      ...operations,
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
      { op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] },
    ]);
    const wanted = optionalNumber(results[operations.length + 1]?.rows?.[0]?.next_cfg);
    if (wanted === null) throw new OvsdbError('bad answer', 'no next_cfg: is the database initialized?');
    const monitor = this.#configuration;
    const inForce = () => {
      const [row] = monitor.rows('Open_vSwitch').values();
      return (optionalNumber(row?.cur_cfg) ?? -1) >= wanted;
    };
    await monitor.until(inForce, this.#timeoutMs, 'ovs-vswitchd taking over the configuration');
    return results.slice(0, operations.length);
  }

  /** Starts a live copy; wait for its content with `until`. */
  monitor(tables: MonitoredTables): OvsdbMonitor {
    const name = `m${++this.#lastMonitor}`;
    const monitor = new OvsdbMonitor(tables, () => this.#forget(name));
    this.#monitors.set(name, monitor);
    if (this.#connection === null) this.#connect();
    else this.#subscribe(this.#connection, name, monitor);
    return monitor;
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    for (const monitor of this.#monitors.values()) monitor.stop();
    this.#connection?.close();
    for (const wake of this.#connectionWaiters) wake();
  }

  async #connected(): Promise<OvsdbConnection> {
    const deadline = performance.now() + this.#timeoutMs;
    while (this.#connection === null) {
      if (this.#closed) throw new OvsdbError('closed', null);
      const left = deadline - performance.now();
      if (left <= 0) throw new OvsdbError('not connected', `no database answers at ${this.#socketPath}`);
      this.#connect();
      await this.#connectionChange(left);
    }
    return this.#connection;
  }

  #connectionChange(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#connectionWaiters.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, withinMs);
      this.#connectionWaiters.add(wake);
    });
  }

  #connect(): void {
    if (this.#closed || this.#connecting || this.#retry !== null || this.#connection !== null) return;
    this.#connecting = true;
    OvsdbConnection.connect(this.#socketPath, {
      onNotification: (method, params) => this.#notified(method, params),
      onEnd: () => {
        this.#connection = null;
        this.#connectLater();
      },
    }).then(
      (connection) => this.#use(connection),
      () => {
        this.#connecting = false;
        this.#connectLater();
      },
    );
  }

  #use(connection: OvsdbConnection): void {
    this.#connecting = false;
    if (this.#closed) return connection.close();
    this.#failures = 0;
    this.#connection = connection;
    for (const [name, monitor] of this.#monitors) this.#subscribe(connection, name, monitor);
    for (const wake of this.#connectionWaiters) wake();
  }

  /** Full jitter: many clients of one server that restarts do not come back in step. */
  #connectLater(): void {
    if (this.#closed || this.#retry !== null) return;
    const ceiling = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(this.#failures++, 10));
    this.#retry = setTimeout(
      () => {
        this.#retry = null;
        this.#connect();
      },
      firstDelayMs / 2 + this.#random() * ceiling,
    );
    this.#retry.unref();
  }

  #subscribe(connection: OvsdbConnection, name: string, monitor: OvsdbMonitor): void {
    const requests = Object.fromEntries(
      Object.entries(monitor.tables).map(([table, columns]) => [table, { columns }] as const),
    );
    connection.ask(
      'monitor',
      [this.#database, name, requests],
      this.#timeoutMs,
      (initial) => monitor.replace(initial as TableUpdates),
      () => connection.close(),
    );
  }

  #notified(method: string, params: unknown): void {
    if (method !== 'update' || !Array.isArray(params)) return;
    this.#monitors.get(String(params[0]))?.update(params[1] as TableUpdates);
  }

  #forget(name: string): void {
    this.#monitors.delete(name);
    this.#connection?.request('monitor_cancel', [name], this.#timeoutMs).catch(() => undefined);
  }
}
