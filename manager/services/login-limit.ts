/**
 * Slows down guessing of passwords: so many attempts a window for each pair of address and user name, and more for an
 * address alone. An attempt counts before its password is checked, so that many at once gain nothing; a success forgets them.
 */
import { KvasirError } from '@kvasir/api/errors.ts';

export interface LoginLimits {
  readonly perUser: number;
  readonly perAddress: number;
  readonly windowMs: number;
}
export const defaultLoginLimits: LoginLimits = { perUser: 10, perAddress: 100, windowMs: 60_000 };

interface Window {
  count: number;
  endsAtMs: number;
}

export class LoginLimit {
  readonly #windows = new Map<string, Window>();
  readonly #limits: LoginLimits;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number, limits: LoginLimits = defaultLoginLimits) {
    this.#nowMs = nowMs;
    this.#limits = limits;
  }

  /** Counts an attempt. @throws too-many-requests */
  attempt(address: string, userName: string): void {
    this.#count(`a ${address}`, this.#limits.perAddress);
    this.#count(`u ${address} ${userName.toLowerCase()}`, this.#limits.perUser);
  }

  succeeded(address: string, userName: string): void {
    this.#windows.delete(`u ${address} ${userName.toLowerCase()}`);
  }

  #count(key: string, limit: number): void {
    const now = this.#nowMs();
    const found = this.#windows.get(key);
    const window = found && found.endsAtMs > now ? found : { count: 0, endsAtMs: now + this.#limits.windowMs };
    if (window.count >= limit) {
      throw new KvasirError('too-many-requests', { seconds: Math.max(1, Math.ceil((window.endsAtMs - now) / 1000)) });
    }
    window.count += 1;
    this.#windows.set(key, window);
    if (this.#windows.size > 10_000) this.#forgetOld(now);
  }

  #forgetOld(now: number): void {
    for (const [key, { endsAtMs }] of this.#windows) if (endsAtMs <= now) this.#windows.delete(key);
  }
}
