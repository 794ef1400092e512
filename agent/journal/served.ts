/**
 * The pools and the slice of the distributed switch that this host was last told to serve, so that an agent that starts serves them before
 * (and without) the manager's next push.
 */
import type { PoolSpec } from '@kvasir/api/agent/host.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { readKeptFile, writeKeptFile } from '@kvasir/api/kept-file.ts';

export interface ServedLists {
  readonly pools: readonly PoolSpec[];
  readonly networks: ServedNetworks | null;
}

export interface ServedNetworks {
  readonly generation: number;
  /** The host's boot in which it was taken; left out by earlier releases. */
  readonly bootId?: string;
  /** Kept before it is applied. */
  readonly slice: NetworkSlice;
  /** What was in force when this one was taken, as long as it is not certain that this one is; null or left out: it is. */
  readonly before?: NetworkSlice | null;
}

export interface Served {
  readonly lists: ServedLists;
  set(changes: Partial<ServedLists>): Promise<void>;
}

export class MemoryServed implements Served {
  lists: ServedLists = { pools: [], networks: null };

  async set(changes: Partial<ServedLists>): Promise<void> {
    this.lists = { ...this.lists, ...changes };
  }
}

export class FileServed extends MemoryServed {
  readonly #path: string;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string) {
    super();
    this.#path = path;
  }

  static async load(path: string): Promise<FileServed> {
    const served = new FileServed(path);
    const text = await readKeptFile(path);
    if (text !== undefined) {
      const lists = JSON.parse(text) as ServedLists;
      // An agent of the first release kept a bare list here.
      served.lists = lists.networks?.slice === undefined ? { ...lists, networks: null } : lists;
    }
    return served;
  }

  override async set(changes: Partial<ServedLists>): Promise<void> {
    await super.set(changes);
    const writing = this.#writing.then(() => writeKeptFile(this.#path, JSON.stringify(this.lists)));
    this.#writing = writing.catch(() => {});
    await writing;
  }
}
