/**
 * What a keeper leaves for the next one of the same boot, in /run: when each pool was renewed last. Written without waiting
 * for any disk; after a reboot it is gone, as the VMs are.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Renewals } from './parts.ts';

/** Where agent and keeper of one host meet. */
export function keeperSocket(runDirectory: string, hostId: string): string {
  return join(runDirectory, `keeper-${hostId}.sock`);
}

/** Where the agent notes starts that the hypervisor has not answered. */
export function startsDirectory(runDirectory: string, hostId: string): string {
  return join(runDirectory, `starts-${hostId}`);
}

export class FileRenewals implements Renewals {
  readonly #path: string;
  readonly #bootId: string;
  #known: Readonly<Record<string, number>>;

  constructor(runDirectory: string, hostId: string, bootId: string) {
    mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
    this.#path = join(runDirectory, `keeper-${hostId}.json`);
    this.#bootId = bootId;
    this.#known = this.#read();
  }

  /** What was saved last, by whichever keeper: a pool that was let go of is not in it any more. */
  load(): Readonly<Record<string, number>> {
    return this.#known;
  }

  save(renewals: Readonly<Record<string, number>>): void {
    this.#known = renewals;
    writeFileSync(`${this.#path}.new`, JSON.stringify({ bootId: this.#bootId, renewals }), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  #read(): Readonly<Record<string, number>> {
    try {
      const { bootId, renewals } = JSON.parse(readFileSync(this.#path, 'utf8')) as {
        bootId: string;
        renewals: Record<string, number>;
      };
      return bootId === this.#bootId ? renewals : {};
    } catch {
      return {};
    }
  }
}
