/**
 * What an agent remembers of the changes it was told to make: finished keys with their results, and the newest epoch.
 *
 * Invariant: what `record` and `raiseEpoch` resolved for survives the death of the process and the host. Failures are not
 * remembered: a step that failed may be tried again under its key.
 */
export interface FinishedCall {
  readonly key: string;
  readonly method: string;
  readonly result: unknown;
  /** The boot of the host in which it was done. */
  readonly bootId: string;
}

export interface Journal {
  /** Newest epoch of a manager's lease seen so far; 0 at first. */
  readonly epoch: number;
  find(key: string): FinishedCall | undefined;
  record(call: FinishedCall): Promise<void>;
  /** Older and equal epochs change nothing. */
  raiseEpoch(epoch: number): Promise<void>;
  close(): Promise<void>;
}

/** For simulated hosts: forgets with the process, and the oldest beyond `capacity` keys. */
export class MemoryJournal implements Journal {
  epoch = 0;
  readonly #calls = new Map<string, FinishedCall>();
  readonly #capacity: number;

  constructor(capacity = 1000) {
    this.#capacity = capacity;
  }

  find(key: string): FinishedCall | undefined {
    return this.#calls.get(key);
  }

  async record(call: FinishedCall): Promise<void> {
    this.#calls.set(call.key, call);
    if (this.#calls.size > this.#capacity) this.#calls.delete(this.#calls.keys().next().value!);
  }

  async raiseEpoch(epoch: number): Promise<void> {
    this.epoch = Math.max(this.epoch, epoch);
  }

  async close(): Promise<void> {}
}
