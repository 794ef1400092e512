/**
 * The management cable of one host: links over it take time, and a cut holds their messages back, in either direction alone or
 * in both, until it is mended, as TCP would. An end that closes while the cable is cut is noticed by the other side only then.
 */
import type { Link, LinkReceiver } from '@kvasir/api/agent/wire/link.ts';
import type { Clock } from '@kvasir/api/clock.ts';

export type Direction = 'to-manager' | 'to-host';

interface Message {
  readonly deliver: (receiver: LinkReceiver) => void;
  /** Nothing comes after it. */
  readonly closes: boolean;
}

export class Cable {
  readonly #clock: Clock;
  readonly #latencyMs: () => number;
  readonly #cut = new Set<Direction>();
  readonly #ends: Record<Direction, Set<CableEnd>> = { 'to-manager': new Set(), 'to-host': new Set() };

  constructor(clock: Clock, latencyMs: () => number) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
  }

  isCut(direction: Direction): boolean {
    return this.#cut.has(direction);
  }

  cut(...directions: readonly Direction[]): void {
    for (const direction of directions) this.#cut.add(direction);
  }

  mend(): void {
    this.#cut.clear();
    for (const ends of Object.values(this.#ends)) for (const end of ends) end.flush();
  }

  /** Pulled out: nothing of what it carries or holds ever arrives, and no end hears of it. */
  unplug(): void {
    this.#cut.add('to-manager').add('to-host');
    for (const ends of Object.values(this.#ends)) ends.clear();
  }

  /** The two ends of a new link: the manager's and the host's. Dialling over a cut cable is for the caller to refuse. */
  link(): { readonly manager: CableEnd; readonly host: CableEnd } {
    const manager = this.#end('to-host');
    const host = this.#end('to-manager');
    manager.other = host;
    host.other = manager;
    return { manager, host };
  }

  /** An end that sends in this direction. */
  #end(direction: Direction): CableEnd {
    const end = new CableEnd({
      send: (deliver) => void this.#clock.after(this.#latencyMs(), deliver),
      isCut: () => this.#cut.has(direction),
      gone: () => void this.#ends[direction].delete(end),
    });
    this.#ends[direction].add(end);
    return end;
  }
}

interface Seams {
  readonly send: (deliver: () => void) => void;
  readonly isCut: () => boolean;
  readonly gone: () => void;
}

class CableEnd implements Link {
  other: CableEnd | null = null;
  readonly #seams: Seams;
  readonly #underWay: Message[] = [];
  /** What waits for the cable to be mended, in order; first those that were under way when it was cut. */
  readonly #held: Message[] = [];
  #interrupted = 0;
  readonly #inbox: Message[] = [];
  #receiver: LinkReceiver | null = null;
  #closed = false;
  #told = false;

  constructor(seams: Seams) {
    this.#seams = seams;
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    for (const message of this.#inbox.splice(0)) message.deliver(receiver);
  }

  sendText(message: string): void {
    if (!this.#closed) this.#send({ deliver: (receiver) => receiver.text(message), closes: false });
  }

  sendBytes(message: Uint8Array, flushed: () => void): void {
    const bytes = Buffer.from(message);
    if (!this.#closed) this.#send({ deliver: (receiver) => receiver.bytes(bytes), closes: false });
    queueMicrotask(flushed);
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    const message: Message = { deliver: (receiver) => receiver.closed(reason), closes: true };
    this.#send(message);
    queueMicrotask(() => this.#hear(message));
  }

  flush(): void {
    this.#interrupted = 0;
    for (const message of this.#held.splice(0)) this.#post(message);
  }

  #send(message: Message): void {
    if (this.#seams.isCut()) this.#held.push(message);
    else this.#post(message);
  }

  #post(message: Message): void {
    this.#underWay.push(message);
    // Latencies differ, the order does not.
    this.#seams.send(() => this.#arrive(this.#underWay.shift()!));
  }

  #arrive(message: Message): void {
    if (this.#seams.isCut()) this.#held.splice(this.#interrupted++, 0, message);
    else this.other!.#hear(message);
  }

  /** `closed` comes once and last. */
  #hear(message: Message): void {
    if (this.#told) return;
    if (message.closes) {
      this.#told = true;
      this.#closed = true;
      // Until the other side has heard it too, it may lie in a cable that is to be mended.
      if (this.other!.#told) for (const end of [this, this.other!]) end.#seams.gone();
    }
    if (this.#receiver === null) this.#inbox.push(message);
    else message.deliver(this.#receiver);
  }
}
