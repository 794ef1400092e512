/**
 * The byte streams of one link. Owns the stream ids: odd ones are opened by the agent, even ones by the manager.
 *
 * Frames may arrive before the message that names their stream is worked off, so a stream of the other side's parity
 * comes into being with its first frame or by `claim`, whichever is first; unclaimed ones are few and short-lived.
 */
import type { Duplex } from 'node:stream';
import { frameKind } from '../link.ts';
import { decodeFrame } from './frame.ts';
import type { LinkClock } from './link.ts';
import { LinkStream, type SendFrame } from './link-stream.ts';

const maxUnclaimed = 64;
const claimWithinMs = 60_000;
const rememberedEnds = 256;

export class Streams {
  readonly #send: SendFrame;
  readonly #clock: LinkClock;
  readonly #streams = new Map<number, LinkStream>();
  /** Streams of the other side that nobody here asked for yet, each with what cancels its end. */
  readonly #unclaimed = new Map<number, () => void>();
  /** Streams of the other side that ended not long ago: their late frames are dropped. */
  readonly #ended = new Set<number>();
  #nextId: number;

  constructor(send: SendFrame, clock: LinkClock, opens: 'odd' | 'even') {
    this.#send = send;
    this.#clock = clock;
    this.#nextId = opens === 'odd' ? 1 : 2;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Opens a stream; tell the other side its id. */
  open(): { readonly streamId: number; readonly stream: Duplex } {
    const streamId = this.#nextId;
    this.#nextId += 2;
    return { streamId, stream: this.#create(streamId) };
  }

  /** The stream that the other side opened under this id. @throws Error for an id that can't be one of theirs, or was claimed before */
  claim(streamId: number): Duplex {
    if (this.#isOurs(streamId) || this.#ended.has(streamId)) throw new Error(`Stream ${streamId} cannot be claimed`);
    const existing = this.#streams.get(streamId);
    if (existing === undefined) return this.#create(streamId);
    const cancel = this.#unclaimed.get(streamId);
    if (cancel === undefined) throw new Error(`Stream ${streamId} was claimed before`);
    cancel();
    this.#unclaimed.delete(streamId);
    return existing;
  }

  /** Takes a binary message; answers what is wrong with it (then the link is to be closed). */
  receive(message: Buffer): string | undefined {
    const frame = decodeFrame(message);
    if (typeof frame === 'string') return frame;
    const stream = this.#streams.get(frame.streamId);
    if (stream !== undefined) return stream.receive(frame);
    if (this.#ended.has(frame.streamId)) return undefined;
    if (this.#isOurs(frame.streamId)) {
      // Ours and gone: the other side did not know yet. Ours and never opened: nonsense.
      return frame.streamId < this.#nextId ? undefined : `a frame of stream ${frame.streamId}, which was never opened`;
    }
    if (frame.kind === frameKind.abort) return undefined;
    if (this.#unclaimed.size >= maxUnclaimed) return 'too many streams that nobody asked for';
    const created = this.#create(frame.streamId);
    this.#unclaimed.set(
      frame.streamId,
      this.#clock.after(claimWithinMs, () => created.destroy(new Error('nobody took the stream'))),
    );
    return created.receive(frame);
  }

  /** The link is gone: all streams break. */
  cut(reason: string): void {
    for (const stream of this.#streams.values()) stream.cut(reason);
  }

  #isOurs(streamId: number): boolean {
    return streamId % 2 === this.#nextId % 2;
  }

  #create(streamId: number): LinkStream {
    const stream = new LinkStream(streamId, this.#send);
    this.#streams.set(streamId, stream);
    stream.once('close', () => this.#forget(streamId));
    return stream;
  }

  #forget(streamId: number): void {
    this.#streams.delete(streamId);
    this.#unclaimed.get(streamId)?.();
    this.#unclaimed.delete(streamId);
    if (this.#isOurs(streamId)) return;
    this.#ended.add(streamId);
    if (this.#ended.size > rememberedEnds) this.#ended.delete(this.#ended.values().next().value!);
  }
}
