/**
 * What each VM's guest is told of itself at the metadata address. It may carry secrets of cloud-init, as the seed does: files only for
 * root, in the agent's own folder, gone with the VM.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import type { VmMetadata } from '../drivers/network.ts';
import { writeKeptFile } from '@kvasir/api/kept-file.ts';

export interface VmMetadataStore {
  get(vmId: string): VmMetadata | undefined;
  set(vm: VmSpec): Promise<void>;
  delete(vmId: string): Promise<void>;
}

export function metadataFrom({ vmId, name, cloudInit }: VmSpec): VmMetadata {
  return {
    vmId,
    name,
    hostname: cloudInit?.hostname ?? name,
    instanceId: cloudInit?.instanceId ?? vmId,
    sshKeys: cloudInit?.sshKeys ?? [],
    userData: cloudInit?.userData ?? null,
  };
}

export class MemoryVmMetadata implements VmMetadataStore {
  protected readonly all = new Map<string, VmMetadata>();

  get(vmId: string): VmMetadata | undefined {
    return this.all.get(vmId);
  }

  async set(vm: VmSpec): Promise<void> {
    this.all.set(vm.vmId, metadataFrom(vm));
  }

  async delete(vmId: string): Promise<void> {
    this.all.delete(vmId);
  }
}

export class FileVmMetadata extends MemoryVmMetadata {
  readonly #directory: string;

  private constructor(directory: string) {
    super();
    this.#directory = directory;
  }

  static async open(directory: string): Promise<FileVmMetadata> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const store = new FileVmMetadata(directory);
    for (const name of await readdir(directory)) {
      // Half written when a crash came.
      if (!name.endsWith('.json')) await rm(join(directory, name), { force: true });
      else {
        const vm = JSON.parse(await readFile(join(directory, name), 'utf8')) as VmMetadata;
        store.all.set(vm.vmId, vm);
      }
    }
    return store;
  }

  override async set(vm: VmSpec): Promise<void> {
    await super.set(vm);
    await writeKeptFile(join(this.#directory, `${vm.vmId}.json`), JSON.stringify(this.get(vm.vmId)));
  }

  override async delete(vmId: string): Promise<void> {
    await super.delete(vmId);
    await rm(join(this.#directory, `${vmId}.json`), { force: true });
  }
}
