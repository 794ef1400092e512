/** Disks of a domain, named by target (`vda`) or source path. `flags` are those of block-flags.ts. */
import { BlockResizeFlags } from '../block-flags.ts';
import type { Caller } from '../caller.ts';
import type { ResultOf } from '../procedures/table.ts';
import { type BlockJobTypeName, blockJobTypes, nameAt } from '../states.ts';
import { param } from '../typed-params.ts';
import { byUuid } from '../wire-types.ts';

export type BlockInfo = ResultOf<'domainGetBlockInfo'>;

export interface BlockJobInfo {
  readonly type: BlockJobTypeName;
  /** MiB/s, 0 = unlimited. */
  readonly bandwidth: number;
  /** Progress without a unit; `current === end` when caught up. */
  readonly current: number;
  readonly end: number;
}

export interface BlockCommit {
  readonly disk: string;
  /** Null: the base of the chain, or with SHALLOW the next image below. */
  readonly base?: string;
  /** Null: the active image. */
  readonly top?: string;
  readonly bandwidth?: number;
  readonly flags: number;
}

export class BlockOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async info(uuid: string, disk: string): Promise<BlockInfo> {
    return this.#caller.call('domainGetBlockInfo', { domain: byUuid(uuid), disk, flags: 0 });
  }

  /** Of a running domain. */
  async resize(uuid: string, disk: string, sizeBytes: number): Promise<void> {
    const flags = BlockResizeFlags.VIR_DOMAIN_BLOCK_RESIZE_BYTES;
    await this.#caller.call('domainBlockResize', { domain: byUuid(uuid), disk, size: sizeBytes, flags });
  }

  /** Limits by libvirt's names (`total_bytes_sec`, `read_iops_sec` …); 0 = none. `flags`: AffectFlags. */
  async setIoTune(uuid: string, disk: string, limits: Readonly<Record<string, number>>, flags: number): Promise<void> {
    const params = Object.entries(limits).map(([field, value]) => param.ullong(field, value));
    await this.#caller.call('domainSetBlockIoTune', { domain: byUuid(uuid), disk, params, flags });
  }

  async commit(uuid: string, { disk, base, top, bandwidth, flags }: BlockCommit): Promise<void> {
    await this.#caller.call('domainBlockCommit', {
      domain: byUuid(uuid),
      disk,
      base: base ?? null,
      top: top ?? null,
      bandwidth: bandwidth ?? 0,
      flags,
    });
  }

  /** Copies the backing images into the active one. */
  async pull(uuid: string, disk: string, bandwidth = 0, flags = 0): Promise<void> {
    await this.#caller.call('domainBlockPull', { domain: byUuid(uuid), disk, bandwidth, flags });
  }

  /** Mirrors the disk to the `<disk>` of `xml`. */
  async copy(uuid: string, disk: string, xml: string, flags = 0): Promise<void> {
    await this.#caller.call('domainBlockCopy', { domain: byUuid(uuid), disk, xml, params: [], flags });
  }

  /** Null when the disk has no job. */
  async jobInfo(uuid: string, disk: string): Promise<BlockJobInfo | null> {
    const args = { domain: byUuid(uuid), disk, flags: 0 };
    const { found, type, ...progress } = await this.#caller.call('domainGetBlockJobInfo', args);
    return found ? { type: nameAt(blockJobTypes, type), ...progress } : null;
  }

  /** Cancels a job, or with PIVOT completes a copy or an active commit. `flags`: BlockJobAbortFlags. */
  async endJob(uuid: string, disk: string, flags = 0): Promise<void> {
    await this.#caller.call('domainBlockJobAbort', { domain: byUuid(uuid), disk, flags });
  }

  async setJobSpeed(uuid: string, disk: string, bandwidthMibps: number): Promise<void> {
    const bandwidth = bandwidthMibps;
    await this.#caller.call('domainBlockJobSetSpeed', { domain: byUuid(uuid), disk, bandwidth, flags: 0 });
  }

  /** Gives back the snapshot's name. `flags`: SnapshotCreateFlags. */
  async createSnapshot(uuid: string, xml: string, flags: number): Promise<string> {
    const { snapshot } = await this.#caller.call('domainSnapshotCreateXml', { domain: byUuid(uuid), xml, flags });
    return snapshot.name;
  }

  /** Names of the snapshots that libvirt keeps metadata of. */
  async snapshots(uuid: string): Promise<string[]> {
    const args = { domain: byUuid(uuid), needResults: true, flags: 0 };
    return (await this.#caller.call('domainListAllSnapshots', args)).snapshots.map(({ name }) => name);
  }

  /** `flags`: SnapshotDeleteFlags. */
  async deleteSnapshot(uuid: string, name: string, flags = 0): Promise<void> {
    await this.#caller.call('domainSnapshotDelete', { snapshot: { name, domain: byUuid(uuid) }, flags });
  }
}
