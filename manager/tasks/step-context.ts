/**
 * Makes what a step gets. Its calls do not wait for a host that is proven dead: they come to what can be done without it
 * (`without-host.ts`), or fail for good with `host-dead`.
 */
import type { AgentMethod, ParamsOf, ResultOf } from '@kvasir/api/agent/method.ts';
import { imageImport, volumeCreate } from '@kvasir/api/agent/storage.ts';
import {
  migrationPrepare,
  type NicSpec,
  vmAttachDisk,
  vmAttachNic,
  vmDefine,
  vmDetachDisk,
  type VmSpec,
} from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Store } from '../store/database.ts';
import { enqueueTask } from './enqueue.ts';
import { unlessItDies } from './death-watch.ts';
import type { TaskJournal } from './journal.ts';
import type { HostCalls, Step, StepContext, TaskProgress, UploadSpool } from './kind.ts';
import { clearWayFor } from './leftover-clearing.ts';
import type { PowerControl } from './power-control.ts';
import { type Concern, hostDead, proofFor } from './proven-dead.ts';
import { isTransient, mayPass } from './transient.ts';
import { type Situation, withoutHost } from './without-host.ts';

export interface ContextSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly hosts: HostCalls;
  readonly spool: UploadSpool;
  readonly power: PowerControl;
}

export interface StepSituation {
  readonly key: string;
  /** Somebody asked for a cancel: calls that run are told to stop. Never aborted in an undo. */
  readonly cancel: AbortSignal;
  /** This manager no longer leads or ends: calls go on at the agents, only nobody here waits for them. */
  readonly stopped: AbortSignal;
  /** The task is being taken back, or has no way back: a dead host does not end it. */
  readonly clearing: boolean;
  readonly progress: (progress: TaskProgress) => void;
}

export function stepContext(seams: ContextSeams, journal: TaskJournal, situation: StepSituation): StepContext<unknown> {
  const { hosts, store } = seams;
  const { key, cancel, stopped, clearing, progress } = situation;
  const signal = AbortSignal.any([cancel, stopped]);
  const results = new Map(journal.steps.map((step) => [step.name, step.result]));
  return {
    store,
    db: store.db,
    clock: seams.clock,
    ids: seams.ids,
    hosts,
    spool: seams.spool,
    power: seams.power,
    key,
    signal,
    progress,
    enqueue: (tx, task) => enqueueTask(tx, seams, task),
    task: journal.task,
    params: journal.task.params,
    call: async <M extends AgentMethod>(hostId: string, method: M, params: ParamsOf<M>, part?: string) => {
      signal.throwIfAborted();
      const callKey = part === undefined ? key : `${key}/${part}`;
      const change = (given: AbortSignal) => ({ key: callKey, signal: given, onProgress: progress });
      const work = async (given: AbortSignal): Promise<ResultOf<M>> => {
        const options = method.kind === 'change' ? change(AbortSignal.any([cancel, given])) : {};
        await clearWayFor({ store, calls: hosts }, hostId, makes(method, params));
        await plugIn(hosts, hostId, method, params);
        // Nobody waits for it any more, and another manager may have gone on with the task.
        stopped.throwIfAborted();
        return await hosts.call(hostId, method, params, options);
      };
      const proofNow = () => proofFor(store.db, hostId, concern(method, params));
      const without = async (): Promise<ResultOf<M> | undefined> => {
        stopped.throwIfAborted();
        const proof = await proofNow();
        if (proof === undefined) return undefined;
        const options = method.kind === 'change' ? change(cancel) : {};
        const elsewhere: Situation['elsewhere'] = (other, ...rest) =>
          atHost(other, hosts.call(other, ...rest, options));
        const substitute = await withoutHost({ ...seams, proof, clearing, elsewhere }, method, params);
        if (substitute !== undefined) return substitute.answer as ResultOf<M>;
        if (!clearing) throw await hostDead(store.db, proof);
        return undefined;
      };
      const watch = { clock: seams.clock, stopped, isDead: async () => (await proofNow()) !== undefined };
      const lost = () => new KvasirError('host-unreachable', { host: hostId });
      const reach = async (): Promise<ResultOf<M>> => {
        const instead = await without();
        if (instead !== undefined) return instead;
        try {
          return await atHost(hostId, unlessItDies(watch, work, lost));
        } catch (error) {
          // It may have died of what it was asked, or meanwhile.
          const later = error instanceof KvasirError && isTransient(error.code) ? await without() : undefined;
          if (later === undefined) throw error;
          return later;
        }
      };
      return await unlessStopped(reach(), stopped);
    },
    resultOf: <R>(step: Step<unknown, R>) => results.get(step.name) as R,
  };
}

function concern({ name }: AgentMethod, params: unknown): Concern {
  const { vm, vmId, poolId } = params as Concern & { readonly vm?: VmSpec };
  return { vmId: vmId ?? vm?.vmId, poolId, unsureVolumeId: plugged(name, params) };
}

/** The disk that comes or goes by the call. */
function plugged(name: string, params: unknown): string | undefined {
  if (name === vmDetachDisk.name) return (params as ParamsOf<typeof vmDetachDisk>).volumeId;
  return name === vmAttachDisk.name ? (params as ParamsOf<typeof vmAttachDisk>).disk.volumeId : undefined;
}

/** Ids of what the call makes on the host. */
function makes<M extends AgentMethod>({ name }: M, params: ParamsOf<M>): string[] {
  if (![vmDefine.name, migrationPrepare.name, volumeCreate.name, imageImport.name].includes(name)) return [];
  const { vm, volumeId, imageId, copyVolumes } = params as {
    readonly vm?: VmSpec;
    readonly volumeId?: string;
    readonly imageId?: string;
    readonly copyVolumes?: readonly { readonly volumeId: string }[];
  };
  const copies = (copyVolumes ?? []).map((volume) => volume.volumeId);
  return [vm?.vmId, volumeId, imageId, ...copies].filter((id) => id !== undefined);
}

/** Policy is at a host before the VM is: also everywhere else, when it comes running from another host. */
async function plugIn<M extends AgentMethod>(
  hosts: HostCalls,
  hostId: string,
  { name }: M,
  params: ParamsOf<M>,
): Promise<void> {
  const { vm, nic } = params as { readonly vm?: VmSpec; readonly nic?: NicSpec };
  if (![vmDefine.name, migrationPrepare.name, vmAttachNic.name].includes(name)) return;
  if (nic === undefined && (vm === undefined || vm.nics.length === 0)) return;
  await hosts.switchReady(hostId, { everywhere: name === migrationPrepare.name });
}

/** Errors that may pass say at which host, so that a task that was parked for one can go on when that host is back. */
async function atHost<T>(hostId: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof KvasirError) || !mayPass(error.code)) throw error;
    const told = new KvasirError(error.code, { ...error.details, hostId }, error.fields, { cause: error });
    told.message = error.message;
    throw told;
  }
}

/** Rejects at once when stopped; the promise's own end then matters to nobody. */
async function unlessStopped<T>(promise: Promise<T>, stopped: AbortSignal): Promise<T> {
  const { promise: end, reject } = Promise.withResolvers<never>();
  const stop = () => reject(stopped.reason as Error);
  stopped.addEventListener('abort', stop);
  try {
    return await Promise.race([promise, end]);
  } finally {
    stopped.removeEventListener('abort', stop);
  }
}
