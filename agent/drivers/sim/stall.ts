/**
 * A hypervisor that hangs: calls are neither carried out nor answered until it goes on, and nothing is told of what happens meanwhile. It
 * then does all that it was asked, in order, whether or not anybody still waits for it: that is what makes it dangerous.
 *
 * `calls`: only its workers hang (in a storage, as a rule), so nobody notices but by waiting. `daemon`: all of it stands still; after a
 * while its connections count as lost, what was under way is answered with an error, and further calls find no connection.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';

export type StallKind = 'calls' | 'daemon';

interface Held {
  readonly run: () => void;
  readonly fail: (error: Error) => void;
}

/** As the keepalive of the real client. */
const lostAfterMs = 20_000;

export class SimStall {
  readonly #clock: Clock;
  readonly #held: Held[] = [];
  /** What is to be told when it goes on: the last word of each domain. */
  readonly #untold = new Map<string, () => void>();
  #kind: StallKind | null = null;
  #connectionLost = false;
  #cancel: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get hangs(): boolean {
    return this.#kind !== null;
  }

  begin(kind: StallKind): void {
    if (this.#kind !== null) return;
    this.#kind = kind;
    if (kind === 'daemon') this.#cancel = this.#clock.after(lostAfterMs, () => this.#loseConnection());
  }

  /** It goes on: first it tells what it saw, then it does what it was asked. */
  end(): void {
    if (this.#kind === null) return;
    this.#reset();
    for (const tell of [...this.#untold.values()]) tell();
    this.#untold.clear();
    for (const { run } of this.#held.splice(0)) run();
  }

  /** All of it is gone. */
  powerLost(error: Error): void {
    this.#reset();
    this.#untold.clear();
    for (const { fail } of this.#held.splice(0)) fail(error);
  }

  /** Nothing that it was asked happens any more. The next daemon hangs as this one did where that is the storage's doing. */
  daemonKilled(): void {
    for (const { fail } of this.#held.splice(0)) fail(connectionLost());
    if (this.#kind === 'daemon') this.end();
  }

  /** Runs the work now, or when it goes on. */
  through<T>(work: () => T | Promise<T>): T | Promise<T> {
    if (this.#kind === null) return work();
    if (this.#connectionLost) throw connectionLost();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = (): void => {
      try {
        const answer = work();
        // Nobody waits any more for what was answered with an error meanwhile.
        if (answer instanceof Promise) answer.catch(() => undefined);
        resolve(answer);
      } catch (error) {
        reject(error);
      }
    };
    this.#held.push({ run, fail: reject });
    return promise;
  }

  /** Tells now, or when it goes on, and then only the last word. */
  tell(vmId: string, tell: () => void): void {
    if (this.#kind === null) tell();
    else this.#untold.set(vmId, tell);
  }

  #reset(): void {
    this.#kind = null;
    this.#connectionLost = false;
    this.#cancel();
  }

  #loseConnection(): void {
    this.#connectionLost = true;
    for (const { fail } of this.#held) fail(connectionLost());
  }
}

function connectionLost(): KvasirError {
  return new KvasirError('host-failed', { reason: 'the hypervisor stopped answering' });
}
