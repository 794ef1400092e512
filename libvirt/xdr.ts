/**
 * The primitive types of XDR (RFC 4506) as libvirt uses them: every item is a multiple of four bytes, big-endian.
 *
 * Invariants: the encoder refuses a value outside its type instead of truncating it; the decoder never reads past the
 * end of its buffer and never allocates more than the buffer could hold, so a hostile or broken peer costs an error only.
 */

/** Thrown for a value that does not fit its wire type, or for bytes that do not decode. */
export class XdrError extends Error {
  override readonly name = 'XdrError';
}

const padding = (length: number): number => (4 - (length % 4)) % 4;

export class XdrEncoder {
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  /** A view of what was written so far; valid until the next write. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(size: number): number {
    const offset = this.#length;
    this.#length += size;
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length));
      this.#buffer.copy(grown, 0, 0, offset);
      this.#buffer = grown;
    }
    return offset;
  }

  int(value: number): void {
    if (!Number.isInteger(value) || value < -0x80000000 || value > 0x7fffffff)
      throw new XdrError(`not an int: ${value}`);
    const offset = this.#reserve(4);
    this.#buffer.writeInt32BE(value, offset);
  }

  uint(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
      throw new XdrError(`not an unsigned int: ${value}`);
    const offset = this.#reserve(4);
    this.#buffer.writeUInt32BE(value, offset);
  }

  hyper(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw new XdrError(`not a hyper: ${value}`);
    const offset = this.#reserve(8);
    this.#buffer.writeBigInt64BE(value, offset);
  }

  uhyper(value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw new XdrError(`not an unsigned hyper: ${value}`);
    const offset = this.#reserve(8);
    this.#buffer.writeBigUInt64BE(value, offset);
  }

  double(value: number): void {
    const offset = this.#reserve(8);
    this.#buffer.writeDoubleBE(value, offset);
  }

  /** Bytes without a length word, padded to four. */
  fixed(value: Uint8Array): void {
    const offset = this.#reserve(value.length + padding(value.length));
    this.#buffer.set(value, offset);
    this.#buffer.fill(0, offset + value.length, this.#length);
  }

  /** Bytes with a length word, padded to four. */
  opaque(value: Uint8Array): void {
    this.uint(value.length);
    this.fixed(value);
  }
}

export class XdrDecoder {
  readonly #buffer: Buffer;
  #offset: number;

  constructor(buffer: Buffer, offset = 0) {
    this.#buffer = buffer;
    this.#offset = offset;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#buffer.length - this.#offset;
  }

  #take(size: number): number {
    if (size > this.remaining) throw new XdrError(`truncated: ${size} bytes wanted, ${this.remaining} left`);
    const offset = this.#offset;
    this.#offset += size;
    return offset;
  }

  int(): number {
    return this.#buffer.readInt32BE(this.#take(4));
  }

  uint(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  hyper(): bigint {
    return this.#buffer.readBigInt64BE(this.#take(8));
  }

  uhyper(): bigint {
    return this.#buffer.readBigUInt64BE(this.#take(8));
  }

  double(): number {
    return this.#buffer.readDoubleBE(this.#take(8));
  }

  /** A view, not a copy. */
  fixed(length: number): Buffer {
    const offset = this.#take(length + padding(length));
    return this.#buffer.subarray(offset, offset + length);
  }

  /** A view, not a copy. */
  opaque(): Buffer {
    return this.fixed(this.uint());
  }
}
