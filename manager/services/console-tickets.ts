/**
 * One-time tickets for consoles: a WebSocket from a browser can carry no Authorization header, and a token in its address
 * would land in logs. A ticket lives 30 s in this manager's memory and opens one console of one VM once.
 */
import { randomBytes } from 'node:crypto';

export type ConsoleKind = 'serial' | 'vnc';

export interface ConsoleGrant {
  readonly vmId: string;
  readonly hostId: string;
  readonly kind: ConsoleKind;
  readonly userId: string;
}

const lifetimeMs = 30_000;

export class ConsoleTickets {
  readonly #grants = new Map<string, { readonly grant: ConsoleGrant; readonly expiresAtMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  issue(grant: ConsoleGrant): { readonly ticket: string; readonly expiresAtMs: number } {
    const now = this.#nowMs();
    for (const [ticket, { expiresAtMs }] of this.#grants) if (expiresAtMs <= now) this.#grants.delete(ticket);
    const ticket = randomBytes(24).toString('hex');
    const expiresAtMs = now + lifetimeMs;
    this.#grants.set(ticket, { grant, expiresAtMs });
    return { ticket, expiresAtMs };
  }

  /** What the ticket grants, once; undefined when it is unknown, used or too old. */
  redeem(ticket: string): ConsoleGrant | undefined {
    const found = this.#grants.get(ticket);
    this.#grants.delete(ticket);
    return found && found.expiresAtMs > this.#nowMs() ? found.grant : undefined;
  }
}
