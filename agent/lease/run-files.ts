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
  readonly #log: (message: string) => void;
  #known: Readonly<Record<string, number>>;
  /** As it stands in the file. */
  #kept: Readonly<Record<string, number>>;
  #fails = false;

  /** @throws when what the last keeper left cannot be read: then it is not known what it promised */
  constructor(runDirectory: string, hostId: string, bootId: string, log: (message: string) => void) {
    mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
    this.#path = join(runDirectory, `keeper-${hostId}.json`);
    this.#bootId = bootId;
    this.#log = log;
    this.#known = this.#read();
    this.#kept = this.#known;
  }

  /** What was saved last, by whichever keeper: a pool that was let go of is not in it any more. */
  load(): Readonly<Record<string, number>> {
    return this.#known;
  }

  save(renewals: Readonly<Record<string, number>>): boolean {
    this.#known = renewals;
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify({ bootId: this.#bootId, renewals }), { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
      this.#kept = renewals;
      this.#fails = false;
    } catch (error) {
      if (!this.#fails) this.#log(`when pools were renewed cannot be kept for the next keeper: ${String(error)}`);
      this.#fails = true;
    }
    return Object.keys(renewals).every((poolId) => poolId in this.#kept);
  }

  #read(): Readonly<Record<string, number>> {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw error;
    }
    const kept = JSON.parse(text) as { readonly bootId: string; readonly renewals: Record<string, number> };
    return kept.bootId === this.#bootId ? kept.renewals : {};
  }
}
