/**
 * Live migration, peer to peer: libvirt's daemon of the source talks to that of the destination, so the domain's own safety
 * does not hang on this process. A repeated call joins the job that runs, or finds that the domain has left.
 */
import type { MigrationOutcome } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { DomainEvent } from '@kvasir/libvirt/domain-event.ts';
import { isLibvirtError } from '@kvasir/libvirt/error.ts';
import type { StateAndReason } from '@kvasir/libvirt/states.ts';
import { XmlFlags } from '@kvasir/libvirt/domain-flags.ts';
import { MigrateFlags, MigrateParam } from '@kvasir/libvirt/migration-flags.ts';
import { param, type ParamRecord, type TypedParam } from '@kvasir/libvirt/typed-params.ts';
import type { HandedFunction, MigrationCall, MigrationProgress, MigrationSend } from '../hypervisor.ts';
import { diskAlias } from './domain-xml.ts';
import { waitFor } from './domain-state.ts';
import { isNoDomain, translating } from './errors.ts';
import { hasFunctions, withFunctions } from './failover-pair.ts';
import { find, findAll, readXml, writeXml } from './xml.ts';

const progressMs = 250;
const joinTimeoutMs = 24 * 3_600_000;
const cancelTimeoutMs = 60_000;

interface Sent {
  readonly downtimeMs: number | null;
  readonly bytesTotal: number | null;
}

export async function sendMigration(client: LibvirtClient, request: MigrationSend, call: MigrationCall): Promise<Sent> {
  const { vmId } = request;
  return translating(vmId, async () => {
    if (await isGone(client, vmId)) return { downtimeMs: null, bytesTotal: null };
    const follow = followProgress(client, vmId, call);
    const stopAborting = abortOn(client, vmId, call.signal);
    try {
      if (await joinRunningJob(client, vmId)) {
        if (await isGone(client, vmId)) return follow.result();
      }
      if (call.signal.aborted) throw new KvasirError('cancelled');
      await perform(client, request);
      return follow.result();
    } catch (error) {
      // It may have left in the end of a job that an earlier call began, and that this one could not join any more.
      if (isNoDomain(error) || (await isGone(client, vmId).catch(() => false))) return follow.result();
      if (call.signal.aborted || isLibvirtError(error, 'VIR_ERR_OPERATION_ABORTED')) throw new KvasirError('cancelled');
      throw error;
    } finally {
      await stopAborting();
      follow.stop();
    }
  });
}

/**
 * Looks until no job is under way, and aborts it at each look: libvirt refuses to abort a job that is only beginning. An answer
 * that tells nothing (a daemon that restarts) is asked for again.
 */
export async function cancelMigration(client: LibvirtClient, vmId: string): Promise<MigrationOutcome> {
  let outcome: MigrationOutcome | undefined;
  let trouble = '';
  const look = async (): Promise<boolean> => {
    try {
      outcome = await outcomeOf(client, vmId);
      if (outcome === undefined) await client.migration.abortJob(vmId);
    } catch (error) {
      // Gone between two questions: the next look says so.
      if (!isNoDomain(error)) trouble = `; libvirt: ${(error as Error).message}`;
    }
    return outcome !== undefined;
  };
  await waitFor(client, vmId, look, { timeoutMs: cancelTimeoutMs });
  if (outcome !== undefined) return outcome;
  throw new KvasirError('timeout', {
    what: `The end of domain ${vmId}'s migration${trouble}`,
    timeoutMs: cancelTimeoutMs,
  });
}

/** Undefined while a migration is under way. */
async function outcomeOf(client: LibvirtClient, vmId: string): Promise<MigrationOutcome | undefined> {
  try {
    const seen = await client.domain.state(vmId);
    // One that does not run has no job, and libvirt refuses the question.
    if (seen.state === 'shutoff') return stayed(seen);
    const { type } = await client.migration.jobStats(vmId);
    return type === 'none' ? stayed(await client.domain.state(vmId)) : undefined;
  } catch (error) {
    if (isNoDomain(error)) return 'left';
    throw error;
  }
}

/** Undefined for a domain that has left, but whose definition libvirt has not taken away yet. */
function stayed({ state, reason }: StateAndReason): 'stayed' | undefined {
  return state === 'shutoff' && reason === 'migrated' ? undefined : 'stayed';
}

/**
 * Once the signal fires, aborts the domain's job again and again, for libvirt refuses while the job is only beginning.
 * Answers how to stop that.
 */
function abortOn(client: LibvirtClient, vmId: string, signal: AbortSignal): () => Promise<void> {
  let stop = async (): Promise<void> => {};
  const begin = (): void => {
    stop = repeat(() => client.migration.abortJob(vmId));
  };
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  return async () => {
    signal.removeEventListener('abort', begin);
    await stop();
  };
}

/**
 * Asks libvirt again and again, whatever it answers, but not while it owes an answer: a domain that is held up answers for none of the
 * questions, and all of them together would take up every call of this host. Answers how to stop that; resolves when no question is open.
 */
function repeat(question: () => Promise<unknown>): () => Promise<void> {
  let asked: Promise<void> | null = null;
  const ask = (): void => {
    asked ??= question().then(
      () => void (asked = null),
      () => void (asked = null),
    );
  };
  ask();
  const timer = setInterval(ask, progressMs);
  return async () => {
    clearInterval(timer);
    await asked;
  };
}

/** True when the domain is here for good; an incoming one that was left behind is cleared. */
export async function abandonIncoming(client: LibvirtClient, vmId: string): Promise<boolean> {
  return translating(vmId, async () => {
    try {
      if (await client.domain.isPersistent(vmId)) return true;
      await client.domain.destroy(vmId);
      return false;
    } catch (error) {
      if (isNoDomain(error)) return false;
      throw error;
    }
  });
}

async function perform(client: LibvirtClient, request: MigrationSend): Promise<void> {
  const { vmId } = request;
  const params: TypedParam[] = [param.string(MigrateParam.VIR_MIGRATE_PARAM_URI, `tcp:${request.migrationHost}`)];
  if (request.bandwidthMibps !== null)
    params.push(param.ullong(MigrateParam.VIR_MIGRATE_PARAM_BANDWIDTH, request.bandwidthMibps));
  for (const target of await targetsOf(client, vmId, request.copyVolumeIds)) {
    params.push(param.string(MigrateParam.VIR_MIGRATE_PARAM_MIGRATE_DISKS, target));
  }
  params.push(...(await destinationXml(client, vmId, request.functions ?? [])));
  if (request.maxDowntimeMs !== null) await client.migration.setMaxDowntime(vmId, request.maxDowntimeMs);
  await client.migration.peerToPeer(vmId, {
    destinationUri: request.connectUri,
    params,
    flags:
      MigrateFlags.VIR_MIGRATE_LIVE |
      MigrateFlags.VIR_MIGRATE_PERSIST_DEST |
      MigrateFlags.VIR_MIGRATE_UNDEFINE_SOURCE |
      MigrateFlags.VIR_MIGRATE_ABORT_ON_ERROR |
      // libvirt would refuse a shared directory whose file system type it does not know; that the pool is the same on both
      // hosts was checked by its marker.
      MigrateFlags.VIR_MIGRATE_UNSAFE |
      (request.autoConverge ? MigrateFlags.VIR_MIGRATE_AUTO_CONVERGE : 0) |
      (request.copyVolumeIds.length > 0 ? MigrateFlags.VIR_MIGRATE_NON_SHARED_DISK : 0),
  });
}

/** The domain as the destination is to have it: where that is not just as it is here. */
async function destinationXml(
  client: LibvirtClient,
  vmId: string,
  functions: readonly HandedFunction[],
): Promise<TypedParam[]> {
  const read = async (flags: number): Promise<string> =>
    writeXml(withFunctions(readXml(await client.domain.xml(vmId, flags)), functions));
  const running = readXml(await client.domain.xml(vmId));
  if (functions.length === 0 && !hasFunctions(running)) return [];
  const { VIR_DOMAIN_XML_SECURE: secure, VIR_DOMAIN_XML_INACTIVE, VIR_DOMAIN_XML_MIGRATABLE } = XmlFlags;
  return [
    param.string(MigrateParam.VIR_MIGRATE_PARAM_DEST_XML, await read(secure | VIR_DOMAIN_XML_MIGRATABLE)),
    param.string(MigrateParam.VIR_MIGRATE_PARAM_PERSIST_XML, await read(secure | VIR_DOMAIN_XML_INACTIVE)),
  ];
}

async function targetsOf(client: LibvirtClient, vmId: string, volumeIds: readonly string[]): Promise<string[]> {
  if (volumeIds.length === 0) return [];
  const disks = findAll(find(readXml(await client.domain.xml(vmId)), 'devices'), 'disk');
  return volumeIds.map((volumeId) => {
    const disk = disks.find((candidate) => find(candidate, 'alias')?.attributes.name === diskAlias(volumeId));
    const target = disk && find(disk, 'target')?.attributes.dev;
    if (target === undefined)
      throw new KvasirError('migration-impossible', { reason: `the domain does not have volume ${volumeId}` });
    return target;
  });
}

async function isGone(client: LibvirtClient, vmId: string): Promise<boolean> {
  try {
    await client.domain.lookupByUuid(vmId);
    return false;
  } catch (error) {
    if (isNoDomain(error)) return true;
    throw error;
  }
}

/** Waits for a job that an earlier call began; false when there was none. */
async function joinRunningJob(client: LibvirtClient, vmId: string): Promise<boolean> {
  const running = async (): Promise<boolean> => {
    if (await isGone(client, vmId)) return false;
    const { type } = await client.migration.jobStats(vmId).catch(() => ({ type: 'none' as const }));
    // One that says completed or failed has not let go of the domain yet.
    return type !== 'none';
  };
  if (!(await running())) return false;
  await waitFor(client, vmId, async () => !(await running()), { timeoutMs: joinTimeoutMs });
  return true;
}

/** Reports the job's progress, and keeps what libvirt says at its end. */
function followProgress(
  client: LibvirtClient,
  vmId: string,
  call: MigrationCall,
): { stop: () => void; result: () => Sent } {
  let last: ParamRecord = {};
  let completed: ParamRecord | undefined;
  const onEvent = (event: DomainEvent): void => {
    if (event.kind === 'jobCompleted' && event.uuid === vmId) completed = event.stats;
  };
  client.on('event', onEvent);
  const stop = repeat(async () => {
    const { type, stats } = await client.migration.jobStats(vmId);
    if (type !== 'bounded' && type !== 'unbounded') return;
    last = stats;
    call.progress(progressOf(stats));
  });
  return {
    stop: () => {
      void stop();
      client.off('event', onEvent);
    },
    result: () => {
      // At the end of a quick one libvirt has been seen to say 0.
      const sent = Math.max(...[completed, last].map((stats) => numberOf(stats?.data_processed) ?? 0));
      return { downtimeMs: numberOf(completed?.downtime), bytesTotal: sent === 0 ? null : sent };
    },
  };
}

function progressOf(stats: ParamRecord): MigrationProgress {
  const total = numberOf(stats.data_total);
  const remaining = numberOf(stats.data_remaining) ?? 0;
  const doneShare = total === null || total === 0 ? 0 : Math.max(0, 1 - remaining / total);
  return {
    percent: Math.min(99, Math.floor(doneShare * 100)),
    bytesDone: numberOf(stats.data_processed),
    bytesTotal: total,
    downtimeMs: null,
  };
}

function numberOf(value: ParamRecord[string] | undefined): number | null {
  return typeof value === 'number' ? value : null;
}
