/**
 * A live copy of some columns of some tables. It survives reconnects: the copy is then replaced by what the server has now,
 * so a listener sees the state, never a gap. Before the first answer it is not `ready` and empty.
 */
import { OvsdbError } from './ovsdb-operations.ts';
import type { Row } from './ovsdb-values.ts';

/** Table name -> columns. */
export type MonitoredTables = Readonly<Record<string, readonly string[]>>;

/** `table-updates` of RFC 7047, 4.1.6: an update without `new` deletes the row. */
export type TableUpdates = Readonly<Record<string, Readonly<Record<string, { readonly new?: Row }>>>>;

interface Waiter {
  readonly check: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class OvsdbMonitor {
  readonly tables: MonitoredTables;
  readonly #onStop: (monitor: OvsdbMonitor) => void;
  readonly #listeners = new Set<() => void>();
  readonly #waiters = new Set<Waiter>();
  #rows = new Map<string, Map<string, Row>>();
  #ready = false;

  /** Made by `OvsdbClient.monitor`. */
  constructor(tables: MonitoredTables, onStop: (monitor: OvsdbMonitor) => void) {
    this.tables = tables;
    this.#onStop = onStop;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** The rows of a table by their id. */
  rows(table: string): ReadonlyMap<string, Row> {
    return this.#rows.get(table) ?? new Map<string, Row>();
  }

  /** Calls `listener` after each change. Answers how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves once the copy is ready and `check` holds. Rejects with `timed out`, or `closed` when the monitor stops. */
  until(check: () => boolean, timeoutMs: number, what: string): Promise<void> {
    if (this.#ready && check()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        finish();
        reject(new OvsdbError('timed out', `${what} did not happen within ${timeoutMs} ms`));
      }, timeoutMs);
      const finish = () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        check,
        resolve: () => {
          finish();
          resolve();
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  stop(): void {
    this.#onStop(this);
    for (const waiter of this.#waiters) waiter.reject(new OvsdbError('closed', null));
    this.#listeners.clear();
  }

  /** For the client: the whole content anew. */
  replace(updates: TableUpdates): void {
    this.#rows = new Map();
    this.#ready = true;
    this.update(updates);
  }

  /** For the client: what changed. */
  update(updates: TableUpdates): void {
    for (const [table, changes] of Object.entries(updates)) {
      const rows = this.#rows.get(table) ?? new Map<string, Row>();
      this.#rows.set(table, rows);
      for (const [id, change] of Object.entries(changes)) {
        if (change.new === undefined) rows.delete(id);
        else rows.set(id, change.new);
      }
    }
    for (const listener of this.#listeners) listener();
    for (const waiter of this.#waiters) if (waiter.check()) waiter.resolve();
  }
}
