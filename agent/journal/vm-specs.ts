/**
 * The last spec of each VM that this host was told, so that its ports can be made again without the manager (after a
 * reboot the taps are gone, but not the domains). One file a VM, without cloud-init's secrets.
 *
 * A VM that has a spec here is expected: its ports are kept even while no domain is there yet (a migration coming in).
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { unfinishedEnding, writeKeptFile } from '@kvasir/api/kept-file.ts';

export interface VmSpecs {
  get(vmId: string): VmSpec | undefined;
  all(): Iterable<VmSpec>;
  set(spec: VmSpec): Promise<void>;
  delete(vmId: string): Promise<void>;
}

export class MemoryVmSpecs implements VmSpecs {
  readonly #specs = new Map<string, VmSpec>();

  get(vmId: string): VmSpec | undefined {
    return this.#specs.get(vmId);
  }

  all(): Iterable<VmSpec> {
    return this.#specs.values();
  }

  async set(spec: VmSpec): Promise<void> {
    this.#specs.set(spec.vmId, { ...spec, cloudInit: null });
  }

  async delete(vmId: string): Promise<void> {
    this.#specs.delete(vmId);
  }
}

export class FileVmSpecs extends MemoryVmSpecs {
  readonly #directory: string;

  private constructor(directory: string) {
    super();
    this.#directory = directory;
  }

  static async open(directory: string): Promise<FileVmSpecs> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const specs = new FileVmSpecs(directory);
    for (const name of await readdir(directory)) {
      // Half written when a crash came.
      if (name.endsWith(unfinishedEnding)) await rm(join(directory, name), { force: true });
      if (!name.endsWith('.json')) continue;
      await MemoryVmSpecs.prototype.set.call(
        specs,
        JSON.parse(await readFile(join(directory, name), 'utf8')) as VmSpec,
      );
    }
    return specs;
  }

  override async set(spec: VmSpec): Promise<void> {
    await super.set(spec);
    await writeKeptFile(this.#path(spec.vmId), JSON.stringify(this.get(spec.vmId)));
  }

  override async delete(vmId: string): Promise<void> {
    await super.delete(vmId);
    await rm(this.#path(vmId), { force: true });
  }

  #path(vmId: string): string {
    return join(this.#directory, `${vmId}.json`);
  }
}
