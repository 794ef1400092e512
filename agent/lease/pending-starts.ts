/**
 * Starts of VMs that the hypervisor's daemon was asked for and has not answered: a file each, written by the agent, read by the keeper.
 * Such a VM may have no process yet that could be ended, and get one long after others took it over; see `hung-starts.ts`.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readKeptFile, writeKeptFile } from '@kvasir/api/kept-file.ts';

export interface PendingStart {
  readonly vmId: string;
  readonly poolIds: readonly string[];
  /** Of the daemon that was asked. */
  readonly socketPath: string;
}

const ending = '.json';

export class PendingStarts {
  readonly #directory: string;

  /** On a file system that is empty after a reboot. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async note(start: PendingStart): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await writeKeptFile(this.#path(start.vmId), JSON.stringify(start));
  }

  async forget(vmId: string): Promise<void> {
    await rm(this.#path(vmId), { force: true });
  }

  /** @throws when there is a note that cannot be read: then it is not known which starts there are */
  async all(): Promise<PendingStart[]> {
    const names = (await this.#names()).filter((name) => name.endsWith(ending));
    const texts = await Promise.all(names.map((name) => readKeptFile(join(this.#directory, name))));
    return texts.filter((text) => text !== undefined).map((text) => JSON.parse(text) as PendingStart);
  }

  /** None before the first note. */
  async #names(): Promise<string[]> {
    return readdir(this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
  }

  #path(vmId: string): string {
    return join(this.#directory, `${vmId}${ending}`);
  }
}
