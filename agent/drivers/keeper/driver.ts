/**
 * LivenessDriver by the keeper, a process of its own: starts it, tells it when its file has changed, and takes in what it says.
 * Starts another one at once when it dies: until then nobody renews the leases, and the watchdog runs.
 */
import { mkdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Liveness, type LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Check, Clean } from 'typebox/value';
import { isOtherForm, type KeeperFile, readKeeperFile, writeKeeperFile } from '../../lease/keeper-file.ts';
import { type FromKeeper, readMessages, writeMessage } from '../../lease/keeper-socket.ts';
import { isNeverKept } from '../../lease/parts.ts';
import { PendingStarts } from '../../lease/pending-starts.ts';
import { keeperSocket, startsDirectory } from '../../lease/run-files.ts';
import type { LeasePlace, LivenessDriver, LivenessEvent } from '../liveness.ts';
import { startKeeper } from './keeper-process.ts';

export interface KeeperDriverOptions {
  readonly hostId: string;
  readonly address: string;
  /** Holds the keeper's file and log. */
  readonly directory: string;
  /** Of the agent: one file a VM. */
  readonly specsDirectory: string;
  /** Where agent and keeper meet; on a file system that is empty after a reboot. */
  readonly runDirectory: string;
  readonly watchdogDevice: string | null;
  readonly watchdogTimeoutMs: number | null;
  readonly uplinks: readonly string[];
  /** Of the hypervisor's daemon. */
  readonly hypervisorSocket: string;
  readonly log: (message: string) => void;
}

const retryMs = 200;
const answerWithinMs = 5000;
/** A keeper that says nothing for so long does nothing either. */
const freshMs = 5000;

export class KeeperDriver implements LivenessDriver {
  readonly #options: KeeperDriverOptions;
  readonly #listeners = new Set<(event: LivenessEvent) => void>();
  readonly #ended = new Set<string>();
  /** Started anew, as the keeper was told, unless the connection broke over it. */
  readonly #forgotten = new Set<string>();
  readonly #starts: PendingStarts;
  #file: KeeperFile | null = null;
  /** There is a file that cannot be read, and stays for the keeper that runs: its plan is not known until there is a new one. */
  #isUnread = false;
  #writing: Promise<unknown> = Promise.resolve();
  #socket: Socket | null = null;
  #liveness: { readonly report: Liveness; readonly atMs: number } | null = null;
  #reloaded: ((error: string | null) => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #connecting = false;
  #starting = false;
  #closed = false;

  constructor(options: KeeperDriverOptions) {
    this.#options = options;
    this.#starts = new PendingStarts(startsDirectory(options.runDirectory, options.hostId));
  }

  async open(): Promise<void> {
    const { hostId, address, specsDirectory, watchdogDevice, watchdogTimeoutMs, uplinks, log } = this.#options;
    await mkdir(this.#options.runDirectory, { recursive: true, mode: 0o700 });
    const known = await readKeeperFile(this.#path).catch((error: unknown) => {
      log(String(error));
      this.#isUnread = true;
      return undefined;
    });
    const settings = { hostId, address, specsDirectory, watchdogDevice, watchdogTimeoutMs, uplinks: [...uplinks] };
    this.#file = { plan: known?.plan ?? null, places: known?.places ?? [], ...settings };
    if (!this.#isUnread) await writeKeeperFile(this.#path, this.#file);
    this.#connect();
  }

  close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.destroy();
    return Promise.resolve();
  }

  /** Over a connection of its own: the agent lets go of the keeper before it is known why it ends. */
  async end(withinMs: number): Promise<boolean> {
    await this.close();
    if (this.#file?.plan == null && !this.#isUnread) return true;
    const socket = connect(this.#keeperSocket);
    const ended = new Promise<boolean>((resolve) => {
      let wasThere = false;
      socket.once('connect', () => {
        wasThere = true;
        writeMessage(socket, { kind: 'stop' });
      });
      // Where nobody listens the watchdog may run all the same.
      socket.on('error', () => {}).once('close', () => resolve(wasThere));
      // Its end is seen behind what the keeper tells meanwhile.
      socket.resume();
    });
    const answer = await Promise.race([ended, delay(withinMs, false, { ref: false })]);
    socket.destroy();
    return answer;
  }

  apply(plan: LivenessPlan, places: readonly LeasePlace[]): Promise<void> {
    return this.#change({ plan }, places);
  }

  serve(places: readonly LeasePlace[]): Promise<void> {
    return this.#change({}, places);
  }

  #change(change: Partial<Pick<KeeperFile, 'plan'>>, places: readonly LeasePlace[]): Promise<void> {
    const changed = this.#writing.then(async () => {
      if (this.#file === null) throw new KvasirError('host-failed', { reason: 'the keeper is not open yet' });
      this.#file = { ...this.#file, ...change, places: places.map(({ poolId, path }) => ({ poolId, path })) };
      if (change.plan !== undefined) this.#isUnread = false;
      if (this.#isUnread) return;
      await writeKeeperFile(this.#path, this.#file);
      await this.#reload();
    });
    this.#writing = changed.catch(() => {});
    return changed;
  }

  report(): Liveness | null {
    if (this.#file?.plan == null || this.#liveness === null) return null;
    return performance.now() - this.#liveness.atMs > freshMs ? null : this.#liveness.report;
  }

  leaseOf(poolId: string): 'held' | 'lost' | 'none' {
    if (this.#isUnread) return 'lost';
    if (this.#file?.plan?.pools.some((pool) => pool.poolId === poolId) !== true) return 'none';
    const own = this.report()?.own.find((pool) => pool.poolId === poolId);
    if (own === undefined || own.lost) return 'lost';
    if (own.renewedMsAgo !== null) return 'held';
    return isNeverKept(own.error) ? 'none' : 'lost';
  }

  endedBecause(vmId: string): string | null {
    return this.#ended.has(vmId) ? 'storage lost' : null;
  }

  forget(vmId: string): void {
    if (!this.#ended.delete(vmId)) return;
    this.#forgotten.add(vmId);
    if (this.#socket !== null) writeMessage(this.#socket, { kind: 'forget', vmId });
  }

  startPending(vmId: string, poolIds: readonly string[]): Promise<void> {
    return this.#starts.note({ vmId, poolIds, socketPath: this.#options.hypervisorSocket });
  }

  startSettled(vmId: string): Promise<void> {
    return this.#starts.forget(vmId);
  }

  async pendingStarts(): Promise<readonly string[]> {
    return (await this.#starts.all()).map(({ vmId }) => vmId);
  }

  watch(listener: (event: LivenessEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get #path(): string {
    return join(this.#options.directory, 'keeper.json');
  }

  get #keeperSocket(): string {
    return keeperSocket(this.#options.runDirectory, this.#options.hostId);
  }

  /** A keeper that does not run reads its file when it starts. */
  async #reload(): Promise<void> {
    const socket = this.#socket;
    if (socket === null) {
      this.#connect();
      return;
    }
    const answer = Promise.withResolvers<string | null>();
    this.#reloaded = answer.resolve;
    const timer = setTimeout(() => answer.resolve(null), answerWithinMs);
    writeMessage(socket, { kind: 'reload' });
    const error = await answer.promise;
    clearTimeout(timer);
    if (error !== null) throw new KvasirError('host-failed', { reason: `the keeper did not take its plan: ${error}` });
  }

  /** Without a plan there is nothing to keep, and no keeper. */
  #connect(): void {
    if (this.#closed || this.#connecting || this.#file?.plan == null) return;
    this.#connecting = true;
    const socket = connect(this.#keeperSocket);
    socket.once('connect', () => {
      this.#socket = socket;
      // What was written before this connection may not have been read.
      writeMessage(socket, { kind: 'reload' });
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      const wasThere = this.#socket === socket;
      if (wasThere) this.#socket = null;
      this.#reloaded?.(null);
      this.#connecting = false;
      if (this.#closed) return;
      if (wasThere) this.#options.log('the keeper of the leases is gone; starting another one');
      this.#start();
      this.#timer = setTimeout(() => this.#connect(), retryMs);
    });
    readMessages<FromKeeper>(socket, (message) => this.#take(message, socket));
  }

  #take(message: FromKeeper, socket: Socket): void {
    switch (message.kind) {
      case 'status':
        this.#heard(message.liveness);
        return;
      case 'ended':
        for (const vmId of message.vmIds) {
          if (this.#forgotten.has(vmId)) writeMessage(socket, { kind: 'forget', vmId });
          else this.#ended.add(vmId);
        }
        this.#forgotten.clear();
        return;
      case 'event':
        this.#happened(message.event);
        return;
      case 'reloaded':
        if (message.error !== null) this.#options.log(`the keeper did not take its file: ${message.error}`);
        if (message.error !== null && isOtherForm(message.error)) {
          // One of another release. The one that follows it, once it has ended, reads the file as it starts.
          this.#options.log('it is asked to take its promises back and to end, so that one of this release follows it');
          writeMessage(socket, { kind: 'stop' });
          return;
        }
        this.#reloaded?.(message.error);
        this.#reloaded = null;
        return;
    }
  }

  /** In the form of this release, for the manager takes no other. One that cannot be brought into it is as good as none. */
  #heard(liveness: unknown): void {
    const report = Clean(Liveness, liveness);
    if (Check(Liveness, report)) this.#liveness = { report, atMs: performance.now() };
  }

  #happened(event: LivenessEvent): void {
    switch (event.kind) {
      case 'storage-lost':
        for (const vmId of event.vmIds) {
          this.#forgotten.delete(vmId);
          this.#ended.add(vmId);
        }
        break;
      case 'storage-back':
        break;
      default:
        // Of a newer keeper.
        return;
    }
    for (const listener of this.#listeners) listener(event);
  }

  #start(): void {
    if (this.#starting) return;
    this.#starting = true;
    const { directory, runDirectory, log } = this.#options;
    startKeeper({ file: this.#path, directory, runDirectory, log, onEnd: () => (this.#starting = false) });
  }
}
