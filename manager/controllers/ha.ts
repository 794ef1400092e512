/**
 * High availability of all clusters, while this manager leads: looks several times a second, decides (`control/ha`), and carries
 * it out.
 *
 * Invariants: what is written is decided again in the transaction that writes it, on what is there by then and under this
 * leader's epoch. Power is cut only after the wish for it was committed; its answer becomes a proof only by what is seen of all
 * hosts afterwards (`judgePowerOff`), and what cannot be told yet is waited for. A round that comes late says so, for silence in that time was the manager's own.
 *
 * A cluster in which all hosts are heard and nothing is open costs a look into memory; only others are read from the database.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { decide } from '@kvasir/control/ha/decide.ts';
import { type PowerCut, powerOffProof } from '@kvasir/control/ha/fence-proof.ts';
import { judgePowerOff, type PowerJudgement } from '@kvasir/control/ha/power-evidence.ts';
import type { HaSnapshot, HostHaState, ManagerFacts } from '@kvasir/control/ha/snapshot.ts';
import type { Ids } from '../ids.ts';
import type { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { recordProof } from '../store/fence-proofs.ts';
import { appendTimeline, fenceAttempts } from '../store/ha-incidents.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { type HaSnapshotSeams, type HostSignals, readHaSnapshot, readHostsElsewhere } from '../tasks/ha-snapshot.ts';
import { mistrustDevice } from './device-mistrust.ts';
import { applyAll, hostsToDeclareDown, type PowerOff } from './ha-apply.ts';
import { Telling } from './ha-timeline.ts';
import { HaWatch } from './ha-watch.ts';
import type { Log } from './rounds.ts';

/** Power, by the rows of `fenceDevices`. */
export interface HaPower {
  /** Answers only when the device itself says that the host is off. @throws with the reason */
  powerOff(deviceId: string, signal: AbortSignal): Promise<PowerCut>;
}

export interface HaSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly clusterSnapshots: ClusterSnapshots;
  readonly signals: HostSignals & {
    /** The host counts as down, its VMs as unknown, until it is heard again. */
    declareDown(hostId: string): Promise<void>;
  };
  readonly power: HaPower;
  /** Epoch of the leader's lease that this manager holds. */
  readonly epoch: () => number | undefined;
  readonly log: Log;
}

export const haRoundMs = 250;
/** A round that is later than this was held up. */
const heldUpMs = 500;
/** What became of a power-off is looked at again after so long while it cannot be told. */
const judgeEveryMs = 100;
/** More steps in a row than any incident takes: something would be going round in circles. */
const mostSteps = 50;
/** In any other state nobody wants the host switched off any more. */
const fencedStates: readonly HostHaState[] = ['dead', 'fencing', 'management-isolated'];

export class HaController {
  readonly #seams: HaSeams;
  readonly #watch: HaWatch;
  readonly #fencings = new Map<
    string,
    { readonly deviceId: string; readonly sinceMs: number; readonly stop: AbortController }
  >();
  readonly #running = new Set<Promise<void>>();
  #stop: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  #manager: ManagerFacts = { leadingSinceMs: 0, heldUpAtMs: null };
  #wake: () => void = () => {};

  constructor(seams: HaSeams) {
    this.#seams = seams;
    this.#watch = new HaWatch(seams);
  }

  start(): void {
    const stop = new AbortController();
    this.#stop = stop;
    this.#loop = this.#loop.then(() => this.#run(stop.signal));
  }

  async stop(): Promise<void> {
    this.#stop?.abort(new Error('The manager no longer leads'));
    await this.#loop;
  }

  /** Something happened (a link broke, a host was heard, a setting changed): looks at once. Losing one is harmless. */
  nudge(): void {
    this.#watch.nudge();
    this.#wake();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log, store } = this.#seams;
    this.#manager = { leadingSinceMs: clock.now(), heldUpAtMs: null };
    this.#watch.reset();
    const ended = store.onCommit(() => this.#watch.committed());
    while (!signal.aborted) {
      const dueMs = clock.now() + haRoundMs;
      await this.#sleep(haRoundMs, signal);
      if (signal.aborted) break;
      const lateMs = clock.now() - dueMs;
      const { leadingSinceMs } = this.#manager;
      // Set back to before it began to lead, the clock tells nothing of that time: it leads from now on.
      if (Math.abs(lateMs) > heldUpMs || leadingSinceMs > clock.now())
        this.#manager = { leadingSinceMs: Math.min(leadingSinceMs, clock.now()), heldUpAtMs: clock.now() };
      try {
        await this.#round(signal);
      } catch (error) {
        if (!signal.aborted) log('A round of high availability failed; it comes again', { error });
      }
    }
    ended();
    await Promise.all(this.#running);
    this.#fencings.clear();
  }

  async #round(signal: AbortSignal): Promise<void> {
    for (const clusterId of await this.#watch.due(this.#manager)) {
      for (let step = 0; step < mostSteps && !signal.aborted; step += 1) {
        if (!(await this.#step(clusterId, signal))) break;
      }
    }
  }

  /** One decision; false: there was nothing to do. */
  async #step(clusterId: string, signal: AbortSignal): Promise<boolean> {
    const { store, clock } = this.#seams;
    const seams = this.#snapshotSeams();
    const snapshot = await readHaSnapshot(store.db, seams, clusterId);
    const wished = decide(snapshot, clock.now());
    this.#watch.decided(snapshot);
    this.#stopNeedless(snapshot);
    if (wished.length === 0) return false;
    for (const hostId of hostsToDeclareDown(wished)) await this.#seams.signals.declareDown(hostId);
    const powerOffs = await store.transaction(async (tx) => {
      await this.#requireLead(tx);
      const current = await readHaSnapshot(tx, seams, clusterId);
      const now = clock.now();
      const telling = new Telling(tx, current, now);
      return await applyAll({ tx, snapshot: current, now, telling }, this.#seams, decide(current, now));
    });
    // Held up since that commit, it may have been replaced: the wish is in the journal, and the next leader decides anew.
    if (this.#seams.epoch() === undefined) throw new KvasirError('not-leader');
    for (const powerOff of powerOffs) this.#fence(powerOff, signal);
    return true;
  }

  #fence(powerOff: PowerOff, signal: AbortSignal): void {
    const { clock, log, power } = this.#seams;
    const { hostId, deviceId } = powerOff;
    const stop = new AbortController();
    this.#fencings.set(hostId, { deviceId, sinceMs: clock.now(), stop });
    const work = power
      .powerOff(deviceId, AbortSignal.any([signal, stop.signal]))
      .then((cut) => this.#fenced(powerOff, cut, AbortSignal.any([signal, stop.signal])))
      .catch((error: unknown) => (signal.aborted ? undefined : this.#notFenced(powerOff, stop.signal, error)))
      .catch((error: unknown) => {
        if (!signal.aborted) log('The answer of a fencing could not be written', { hostId, error });
      })
      .finally(() => {
        this.#running.delete(work);
        this.#fencings.delete(hostId);
        this.nudge();
      });
    this.#running.add(work);
  }

  /** A device that comes to itself late must not end a host that was booted again meanwhile. */
  #stopNeedless({ hosts: all }: HaSnapshot): void {
    for (const [hostId, { stop }] of this.#fencings) {
      const host = all.find(({ id }) => id === hostId);
      if (host === undefined) continue;
      if (host.proof !== null) stop.abort(new Error('it is proven dead already'));
      else if (!fencedStates.includes(host.ha.state)) stop.abort(new Error(`it is ${host.ha.state} by now`));
    }
  }

  /** @throws with the reason when it is no proof */
  async #fenced(powerOff: PowerOff, cut: PowerCut, stop: AbortSignal): Promise<void> {
    const { store, clock, signals } = this.#seams;
    const { hostId } = powerOff;
    await signals.declareDown(hostId);
    for (;;) {
      stop.throwIfAborted();
      const judged = await store.transaction(async (tx) => {
        await this.#requireLead(tx);
        return await this.#judge(tx, powerOff, cut);
      });
      if (judged === undefined || 'evidence' in judged) return;
      if ('missing' in judged) {
        const host = (await hosts.find(store.db, { id: hostId }))?.name ?? hostId;
        throw new KvasirError('fencing-failed', { host, action: 'proven dead', reason: judged.missing });
      }
      await clock.sleep(judgeEveryMs, stop);
    }
  }

  /** Writes the proof if there is one, and what is shown of the device. */
  async #judge(
    tx: Tx,
    { attemptId, hostId, incidentId }: PowerOff,
    cut: PowerCut,
  ): Promise<PowerJudgement | undefined> {
    const { clock, ids } = this.#seams;
    const row = await hosts.find(tx, { id: hostId });
    if (row === undefined) return undefined;
    const now = clock.now();
    const snapshot = await readHaSnapshot(tx, this.#snapshotSeams(), row.clusterId);
    const host = snapshot.hosts.find(({ id }) => id === hostId)!;
    const elsewhere = await readHostsElsewhere(tx, this.#seams.signals, row.clusterId);
    const judged = judgePowerOff(host, cut, snapshot, now, elsewhere);
    if ('missing' in judged && judged.mistrust === true) await mistrustDevice(tx, cut.deviceId, judged.missing, now);
    if (!('evidence' in judged)) return judged;
    const proof = powerOffProof({ hostId, hostName: host.name, bootId: host.bootId }, judged.evidence);
    await recordProof(tx, ids.uuid(), proof, incidentId);
    await fenceAttempts.set(tx, { id: attemptId }, { finishedAt: now });
    const message = `${host.name} is proven dead`;
    await appendTimeline(tx, incidentId, [
      { at: now, kind: 'done', message, because: proof.because, details: { proof } },
    ]);
    await appendEvent(tx, {
      at: now,
      kind: 'ha.host-fenced',
      severity: 'warning',
      message: `Host ${host.name} is proven dead: ${proof.because}`,
      target: { kind: 'host', id: hostId, name: host.name },
      details: { kind: proof.kind },
    });
    return judged;
  }

  async #notFenced(
    { attemptId, hostId, incidentId, deviceId }: PowerOff,
    stopped: AbortSignal,
    thrown: unknown,
  ): Promise<void> {
    const { store, clock, log } = this.#seams;
    const error = thrown instanceof KvasirError ? thrown.message : 'the device could not be asked';
    const because = stopped.aborted ? (stopped.reason as Error).message : undefined;
    if (because === undefined && !(thrown instanceof KvasirError))
      log('A fencing failed in an unknown way', { hostId, deviceId, error: thrown });
    await store.transaction(async (tx) => {
      await this.#requireLead(tx);
      const host = await hosts.find(tx, { id: hostId });
      if (host === undefined) return;
      const now = clock.now();
      await fenceAttempts.set(tx, { id: attemptId }, { finishedAt: now, error: because === undefined ? error : null });
      if (because !== undefined) {
        const message = `${host.name} is not switched off any more`;
        await appendTimeline(tx, incidentId, [{ at: now, kind: 'decided', message, because, details: { deviceId } }]);
        return;
      }
      const message = `${host.name} could not be switched off: ${error}`;
      await appendTimeline(tx, incidentId, [{ at: now, kind: 'failed', message, details: { deviceId } }]);
      await appendEvent(tx, {
        at: now,
        kind: 'ha.fencing-failed',
        severity: 'error',
        message: `Host ${message}`,
        target: { kind: 'host', id: hostId, name: host.name },
        details: { deviceId },
      });
    });
  }

  async #requireLead(tx: Tx): Promise<void> {
    const epoch = this.#seams.epoch();
    if (epoch === undefined || (await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
  }

  #snapshotSeams(): HaSnapshotSeams {
    return { signals: this.#seams.signals, manager: this.#manager, fencings: this.#fencings };
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    try {
      await this.#seams.clock.sleep(ms, AbortSignal.any([woken.signal, signal]));
    } catch {
      // Woken or stopped.
    }
    this.#wake = () => {};
  }
}
