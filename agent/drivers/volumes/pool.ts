/**
 * One directory pool as this host sees it: whether the right directory is there (the marker says whose it is), how much is
 * free, and where things lie in it. Every use checks the marker first: below a missing mount lies an empty directory, and
 * a volume that 'is not there' would count as deleted.
 */
import { mkdir, readdir, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { PoolReport, PoolSpec } from '@kvasir/api/agent/host.ts';
import type { DiskFormat } from '../storage.ts';
import { exists, isMissing, type TemporaryFiles } from './files.ts';
import { makePassable } from './passable.ts';

export type ServedPool = PoolSpec & { readonly initialize: boolean };

const markerName = '.kvasir-pool';
/** May lie in a directory that becomes a pool. */
const harmless = new Set(['lost+found', 'import', 'images', 'volumes']);
/** A file system that does not answer for so long counts as not reachable; the probe goes on in the background. */
const answerWithinMs = 10_000;
const mib = 1024 * 1024;

export class DirectoryPool {
  readonly spec: ServedPool;
  readonly #files: TemporaryFiles;
  /** A file that says that the pool was seen here: its marker is not made a second time. */
  readonly #knownPath: string;
  #checking: Promise<void> | null = null;
  #measuring: Promise<PoolReport> | null = null;

  constructor(spec: ServedPool, files: TemporaryFiles, knownDirectory: string) {
    this.spec = spec;
    this.#files = files;
    this.#knownPath = join(knownDirectory, spec.poolId);
  }

  get importDirectory(): string {
    return join(this.spec.path, 'import');
  }
  get imagesDirectory(): string {
    return join(this.spec.path, 'images');
  }
  get volumesDirectory(): string {
    return join(this.spec.path, 'volumes');
  }
  imagePath(imageId: string, format: DiskFormat): string {
    return join(this.imagesDirectory, `${imageId}.${format}`);
  }
  volumePath(volumeId: string, format: DiskFormat): string {
    return join(this.volumesDirectory, `${volumeId}.${format}`);
  }

  /** Makes marker and folders where that is allowed, removes leftovers, and reports. Never throws. */
  prepare(): Promise<PoolReport> {
    return this.#answer(async () => {
      await this.#initialize();
      await this.#check();
      const { path, shared } = this.spec;
      await mkdir(this.importDirectory, { recursive: true, mode: 0o755 });
      for (const directory of [this.imagesDirectory, this.volumesDirectory]) await makePassable(directory);
      await this.#remember();
      for (const directory of [path, this.imagesDirectory, this.volumesDirectory]) {
        await this.#files.sweep(directory, shared);
      }
      return this.#measure();
    });
  }

  report(): Promise<PoolReport> {
    this.#measuring ??= this.#answer(() => this.#measure()).finally(() => (this.#measuring = null));
    return this.#measuring;
  }

  /** Throws `pool-unreachable` unless the pool's own directory is there. */
  async require(): Promise<void> {
    try {
      await within(this.#check());
    } catch (error) {
      const { poolId, name: pool } = this.spec;
      throw new KvasirError('pool-unreachable', { poolId, pool, reason: words(error) }, undefined, { cause: error });
    }
  }

  /** One look at a time, shared by all who ask: on a storage that hangs more would use up the threads of file access. */
  #check(): Promise<void> {
    this.#checking ??= this.#readMarker().finally(() => (this.#checking = null));
    return this.#checking;
  }

  async #readMarker(): Promise<void> {
    let marker: string;
    try {
      marker = await readFile(join(this.spec.path, markerName), 'utf8');
    } catch (error) {
      if (!isMissing(error)) throw error;
      const there = await exists(this.spec.path);
      throw new Error(
        there ? `${this.spec.path} has no ${markerName}: is it mounted?` : `${this.spec.path} does not exist`,
        { cause: error },
      );
    }
    if (marker.trim() === this.spec.poolId) return;
    throw new Error(`${this.spec.path} belongs to another pool (${marker.trim().slice(0, 64)})`);
  }

  async #initialize(): Promise<void> {
    const marker = join(this.spec.path, markerName);
    if (!this.spec.initialize || (await exists(marker)) || (await exists(this.#knownPath))) return;
    // A shared directory comes from elsewhere; making it would only hide that it is missing.
    if (!this.spec.shared && !(await exists(this.spec.path))) await makePassable(this.spec.path);
    const found = (await readdir(this.spec.path)).filter((name) => !name.startsWith('.tmp-'));
    const strange = found.filter((name) => !harmless.has(name));
    for (const directory of ['images', 'volumes']) {
      if (found.includes(directory)) strange.push(...(await readdir(join(this.spec.path, directory))));
    }
    if (strange.length > 0) throw new Error(`${this.spec.path} is not empty: it has ${strange.slice(0, 3).join(', ')}`);
    await this.#files.write(marker, 0o644, `${this.spec.poolId}\n`);
  }

  async #remember(): Promise<void> {
    if (await exists(this.#knownPath)) return;
    await mkdir(join(this.#knownPath, '..'), { recursive: true, mode: 0o700 });
    await this.#files.write(this.#knownPath, 0o600, `${this.spec.path}\n`);
  }

  async #answer(work: () => Promise<PoolReport>): Promise<PoolReport> {
    try {
      return await within(work());
    } catch (error) {
      const { poolId } = this.spec;
      return { poolId, reachable: false, reason: words(error), totalMib: null, freeMib: null };
    }
  }

  async #measure(): Promise<PoolReport> {
    await this.#check();
    const { blocks, bavail, bsize } = await statfs(this.spec.path);
    return {
      poolId: this.spec.poolId,
      reachable: true,
      reason: null,
      totalMib: Math.floor((blocks * bsize) / mib),
      freeMib: Math.floor((bavail * bsize) / mib),
    };
  }
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`it does not answer within ${answerWithinMs} ms`)), answerWithinMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
