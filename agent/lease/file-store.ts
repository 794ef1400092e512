/**
 * Leases in `<pool>/.kvasir-lease`. All access is direct (O_DIRECT): what a page cache remembers of the others' slots would
 * look like hosts that stand still. A file system that cannot do so gets no leases.
 *
 * The file is opened by its name each time, after a look at the pool's marker: whoever goes on with an open file does not
 * notice that the mount below has changed, and renews where nobody reads.
 */
import { closeSync, constants, fdatasyncSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { NothingWrittenError } from './parts.ts';
import { decodeSlot, encodeSlot, type LeaseRecord, type Slot, slotBytes } from './record.ts';
import type { LeaseStore } from './store.ts';

export const leaseFileName = '.kvasir-lease';
const markerName = '.kvasir-pool';
const pageBytes = 65_536;

export class FileLeaseStore implements LeaseStore {
  readonly #directory: string;
  readonly #poolId: string;
  #buffer = alignedBuffer(slotBytes);

  constructor(directory: string, poolId: string) {
    this.#directory = directory;
    this.#poolId = poolId;
  }

  exchange(own: { readonly slot: number; readonly record: LeaseRecord } | null, read: readonly number[]): Slot[] {
    const file = this.#open();
    try {
      if (own !== null) this.#write(file, own.slot, own.record);
      return this.#read(file, read);
    } finally {
      closeSync(file);
    }
  }

  #open(): number {
    try {
      const marker = readFileSync(join(this.#directory, markerName), 'utf8').trim();
      if (marker !== this.#poolId) {
        throw new Error(`${this.#directory} belongs to another pool (${marker.slice(0, 64)})`);
      }
      return this.#openFile();
    } catch (error) {
      if (error instanceof NothingWrittenError) throw error;
      throw new NothingWrittenError((error as Error).message, false, { cause: error });
    }
  }

  #openFile(): number {
    const { O_RDWR, O_CREAT, O_DIRECT, O_CLOEXEC } = { O_CLOEXEC: 0o2000000, ...constants };
    try {
      return openSync(join(this.#directory, leaseFileName), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      const message = `the file system of ${this.#directory} has no direct access, so no lease can be kept there`;
      throw new NothingWrittenError(message, true, { cause: error });
    }
  }

  #write(file: number, slot: number, record: LeaseRecord): void {
    encodeSlot(record, this.#buffer);
    const written = writeSync(file, this.#buffer, 0, slotBytes, slot * slotBytes);
    if (written !== slotBytes) throw new Error(`only ${written} of ${slotBytes} bytes of the lease were written`);
    fdatasyncSync(file);
  }

  /** One read from the lowest to the highest slot: they lie close together. */
  #read(file: number, slots: readonly number[]): Slot[] {
    if (slots.length === 0) return [];
    const [from, to] = [Math.min(...slots), Math.max(...slots) + 1];
    const length = (to - from) * slotBytes;
    if (this.#buffer.length < length) this.#buffer = alignedBuffer(length);
    let got = 0;
    while (got < length) {
      const count = readSync(file, this.#buffer, got, length - got, from * slotBytes + got);
      if (count === 0) break;
      got += count;
    }
    // Behind the end of the file nobody has written yet.
    this.#buffer.fill(0, got, length);
    return slots.map((slot) => {
      const at = (slot - from) * slotBytes;
      return decodeSlot(this.#buffer.subarray(at, at + slotBytes));
    });
  }
}

interface PageMemory {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
}

/** Direct access wants memory that begins at a block's border; only a WebAssembly memory promises that here. */
function alignedBuffer(bytes: number): Uint8Array {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: PageMemory };
  return new Uint8Array(new WebAssembly.Memory({ initial: Math.ceil(bytes / pageBytes) }).buffer);
}
