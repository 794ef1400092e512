/** Two joined ends of a link in memory, for simulations and tests: in order, each message in a turn of its own. */
import type { Link, LinkReceiver } from './link.ts';

class MemoryEnd implements Link {
  other: MemoryEnd | null = null;
  #receiver: LinkReceiver | null = null;
  #closed = false;
  readonly #inbox: ((receiver: LinkReceiver) => void)[] = [];
  #scheduled = false;

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#schedule();
  }

  sendText(message: string): void {
    if (!this.#closed) this.other!.#deliver((receiver) => receiver.text(message));
  }

  sendBytes(message: Uint8Array, flushed: () => void): void {
    if (!this.#closed) this.other!.#deliver((receiver) => receiver.bytes(Buffer.from(message)));
    queueMicrotask(flushed);
  }

  close(reason: string): void {
    this.#end(reason);
    this.other!.#end(reason);
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deliver((receiver) => receiver.closed(reason));
  }

  #deliver(work: (receiver: LinkReceiver) => void): void {
    this.#inbox.push(work);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#receiver === null || this.#scheduled || this.#inbox.length === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#inbox.shift()!(this.#receiver!);
      this.#schedule();
    });
  }
}

export function memoryLinkPair(): readonly [Link, Link] {
  const one = new MemoryEnd();
  const two = new MemoryEnd();
  one.other = two;
  two.other = one;
  return [one, two];
}
