/** Timers in the order of their moments; of those at one moment the one that was set first comes first. */

interface Timer {
  readonly atMs: number;
  readonly order: number;
  work: (() => void) | null;
}

export interface DueTimer {
  readonly atMs: number;
  readonly work: () => void;
}

export class TimerHeap {
  readonly #heap: Timer[] = [];
  #order = 0;

  /** Answers how to cancel it. */
  add(atMs: number, work: () => void): () => void {
    const timer: Timer = { atMs, order: this.#order++, work };
    this.#heap.push(timer);
    this.#rise(this.#heap.length - 1);
    return () => {
      // Stays in its place until its moment: to look for it costs more.
      timer.work = null;
    };
  }

  /** Takes out the next one that is due by `untilMs`. */
  take(untilMs: number): DueTimer | undefined {
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= untilMs; first = this.#heap[0]) {
      this.#removeFirst();
      const { atMs, work } = first;
      first.work = null;
      if (work !== null) return { atMs, work };
    }
    return undefined;
  }

  #removeFirst(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#heap.length && before(this.#heap[child]!, this.#heap[least]!)) least = child;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #rise(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!before(this.#heap[at]!, this.#heap[parent]!)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #swap(one: number, other: number): void {
    [this.#heap[one], this.#heap[other]] = [this.#heap[other]!, this.#heap[one]!];
  }
}

function before(one: Timer, other: Timer): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
