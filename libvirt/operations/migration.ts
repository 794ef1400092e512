/** Live migration, daemon to daemon, and the job that a domain is in. */
import type { Caller } from '../caller.ts';
import { MigrateFlags } from '../migration-flags.ts';
import { type JobTypeName, jobTypes, nameAt } from '../states.ts';
import { type ParamRecord, paramRecord, type TypedParam } from '../typed-params.ts';
import { byUuid } from '../wire-types.ts';

export interface PeerToPeerMigration {
  /** The destination's daemon as the source host reaches it, e.g. `qemu+tls://h2/system`. */
  readonly destinationUri: string;
  /** Typed parameters named by MigrateParam. */
  readonly params?: readonly TypedParam[];
  /** MigrateFlags; VIR_MIGRATE_PEER2PEER is always added. */
  readonly flags: number;
}

export interface JobStats {
  readonly type: JobTypeName;
  /** libvirt's names: `time_elapsed` (ms), `memory_total`, `memory_remaining` (bytes), `downtime` (ms) … */
  readonly stats: ParamRecord;
}

export class MigrationOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /**
   * Moves a running domain; resolves when it runs at the destination. On LibvirtError the domain goes on running here.
   * On LibvirtConnectionError with `sent` either may be true: look at both hosts.
   */
  async peerToPeer(uuid: string, { destinationUri, params, flags }: PeerToPeerMigration): Promise<void> {
    const { domain } = await this.#caller.call('domainLookupByUuid', { uuid });
    await this.#caller.call('domainMigratePerform3Params', {
      domain,
      destinationUri,
      params: params ?? [],
      cookieIn: Buffer.alloc(0),
      flags: flags | MigrateFlags.VIR_MIGRATE_PEER2PEER,
    });
  }

  /** `flags`: JobStatsFlags; with COMPLETED those of the last job, once. */
  async jobStats(uuid: string, flags = 0): Promise<JobStats> {
    const { type, params } = await this.#caller.call('domainGetJobStats', { domain: byUuid(uuid), flags });
    return { type: nameAt(jobTypes, type), stats: paramRecord(params) };
  }

  /** Cancels the running job; the call that waits for it rejects with VIR_ERR_OPERATION_ABORTED. */
  async abortJob(uuid: string): Promise<void> {
    await this.#caller.call('domainAbortJob', { domain: byUuid(uuid) });
  }

  async setMaxDowntime(uuid: string, downtimeMs: number): Promise<void> {
    await this.#caller.call('domainMigrateSetMaxDowntime', { domain: byUuid(uuid), downtimeMs, flags: 0 });
  }

  async maxDowntimeMs(uuid: string): Promise<number> {
    return (await this.#caller.call('domainMigrateGetMaxDowntime', { domain: byUuid(uuid), flags: 0 })).downtimeMs;
  }

  async setMaxSpeed(uuid: string, bandwidthMibps: number): Promise<void> {
    await this.#caller.call('domainMigrateSetMaxSpeed', { domain: byUuid(uuid), bandwidthMibps, flags: 0 });
  }

  /** Of a migration begun with VIR_MIGRATE_POSTCOPY. */
  async startPostCopy(uuid: string): Promise<void> {
    await this.#caller.call('domainMigrateStartPostCopy', { domain: byUuid(uuid), flags: 0 });
  }
}
