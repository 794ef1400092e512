/**
 * Connections for calls that may take long: one call on each, so that a migration, a slow guest or a stuck QEMU holds up
 * nobody else. They are opened on demand and a few are kept for the next call.
 */
import type { CallOptions, Connection } from './connection.ts';
import { LibvirtConnectionError } from './error.ts';

export class SideConnections {
  readonly #open: () => Promise<Connection>;
  readonly #limits: { readonly maxOpen: number; readonly maxIdle: number };
  readonly #all = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #taken = 0;
  #closed = false;

  constructor(open: () => Promise<Connection>, limits: { readonly maxOpen: number; readonly maxIdle: number }) {
    this.#open = open;
    this.#limits = limits;
  }

  /**
   * Runs the work on a connection that nothing else uses meanwhile. The time limit holds from now on: the work gets what the wait for
   * its turn has left of it. Rejects with TIMEOUT when the turn does not come in time.
   */
  async run<T>(
    work: (connection: Connection, left: CallOptions) => Promise<T>,
    { timeoutMs }: CallOptions = {},
  ): Promise<T> {
    const endMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    await this.#enter(timeoutMs);
    try {
      const connection = this.#reusable() ?? (await this.#dial());
      try {
        return await work(connection, endMs === undefined ? {} : { timeoutMs: Math.max(0, endMs - performance.now()) });
      } finally {
        this.#giveBack(connection);
      }
    } finally {
      this.#leave();
    }
  }

  async #enter(timeoutMs: number | undefined): Promise<void> {
    if (this.#taken >= this.#limits.maxOpen) await this.#turn(timeoutMs);
    else this.#taken += 1;
    if (this.#closed) {
      this.#leave();
      throw new LibvirtConnectionError('CLOSED', 'the client was closed');
    }
  }

  async #turn(timeoutMs: number | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>();
    this.#waiting.push(turn);
    const giveUp = (): void => {
      const place = this.#waiting.indexOf(turn);
      if (place === -1) return;
      this.#waiting.splice(place, 1);
      turn.reject(new LibvirtConnectionError('TIMEOUT', 'too many calls are under way that libvirt has not answered'));
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(giveUp, timeoutMs);
    try {
      await turn.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The place goes to the next in line, or becomes free. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken -= 1;
    else next.resolve();
  }

  #reusable(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || connection.ended === undefined) return connection;
    }
  }

  async #dial(): Promise<Connection> {
    const connection = await this.#open();
    this.#all.add(connection);
    connection.once('close', () => this.#all.delete(connection));
    if (this.#closed) connection.end('CLOSED', 'the client was closed');
    return connection;
  }

  #giveBack(connection: Connection): void {
    if (connection.ended !== undefined) return;
    // A call that was given up is still under way there, and would hold up the next one.
    const reusable = !connection.busy && !this.#closed && this.#idle.length < this.#limits.maxIdle;
    if (reusable) this.#idle.push(connection);
    else connection.end('CLOSED', 'no longer needed');
  }

  closeAll(): void {
    this.#closed = true;
    for (const connection of this.#all) connection.end('CLOSED', 'the client was closed');
  }
}
