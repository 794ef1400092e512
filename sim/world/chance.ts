/** Chance from a seed: the same seed gives the same world. The generator is sfc32 by Chris Doty-Humphrey. */
import { createHash } from 'node:crypto';
import type { Ids } from '@kvasir/manager/ids.ts';

export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: string | number) {
    const digest = createHash('sha256').update(String(seed)).digest();
    [this.#a, this.#b, this.#c] = [digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8)];
  }

  /** In [0, 1). */
  readonly next = (): number => this.#bits() / 2 ** 32;

  /** A whole number, both bounds included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)]!;
  }

  /** True this often. */
  happens(probability: number): boolean {
    return this.next() < probability;
  }

  uuid(): string {
    const hex = [0, 0, 0, 0].map(() => this.#bits().toString(16).padStart(8, '0')).join('');
    const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3]!;
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }

  /** The manager's seam to chance. */
  ids(): Ids {
    const token = (bytes: number): string =>
      Buffer.from(Array.from({ length: bytes }, () => this.between(0, 255))).toString('base64url');
    return { uuid: () => this.uuid(), token, fraction: this.next };
  }

  #bits(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}
