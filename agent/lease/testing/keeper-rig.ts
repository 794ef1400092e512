/** A keeper whose storage, VMs and watchdog do what a test says, on a clock of its own. */
import { randomUUID } from 'node:crypto';
import type { LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { LeaseKeeper } from '../keeper.ts';
import { NothingWrittenError, type PoolIo } from '../parts.ts';
import type { LeaseRecord, Slot } from '../record.ts';
import { FakeTime } from './fake-time.ts';

export const place = { poolId: randomUUID(), path: '/shared' };
export const terms = { renewEveryMs: 1000, killAfterMs: 6000, leaseMs: 9000 };

export function planOf(changes: Partial<LivenessPlan> = {}): LivenessPlan {
  const pools = [{ poolId: place.poolId, slot: 0 }];
  return { generation: 1, ...terms, pools, peers: [], probePort: null, probeKey: null, ...changes };
}

/** A storage, VMs and a watchdog that do what a test says. */
export class Rig {
  readonly time = new FakeTime();
  readonly slots = new Map<number, LeaseRecord>();
  storage: 'well' | 'hangs' | 'fails' | 'unsupported' = 'well';
  vms = ['vm1'];
  killable = true;
  endedAtMs: number | null = null;
  resetAtMs: number | null = null;
  renewals: Readonly<Record<string, number>> = {};
  keepsRenewals = true;
  onLog = (): void => {};
  /** How long it was held up, besides the time that passes. */
  heldUpMs = 0;
  pettedAtMs = 0;
  disarmed = 0;
  #waiting: (() => void)[] = [];
  #cancelReset: () => void = () => {};
  #timeoutMs = 0;

  heal(): void {
    this.storage = 'well';
    for (const go of this.#waiting.splice(0)) go();
  }

  keeper(options: { readonly watchdog?: boolean } = {}): LeaseKeeper {
    const { time } = this;
    const count = (): void => {
      this.pettedAtMs = time.nowMs() + this.heldUpMs;
      this.#cancelReset();
      this.#cancelReset = time.after(this.#timeoutMs, () => (this.resetAtMs ??= time.nowMs()));
    };
    return new LeaseKeeper({
      hostId: 'h1',
      bootId: 'boot-1',
      time: { nowMs: () => time.nowMs() + this.heldUpMs, after: (ms, work) => time.after(ms, work) },
      openPool: () => this.#io(),
      ender: {
        find: async () => this.vms,
        end: async () => {
          const vmIds = this.vms;
          if (!this.killable) return { vmIds, left: vmIds.length };
          if (vmIds.length > 0) this.endedAtMs ??= time.nowMs();
          this.vms = [];
          return { vmIds, left: 0 };
        },
      },
      watchdog:
        options.watchdog === false
          ? null
          : {
              arm: async (maxTimeoutMs) => {
                this.#timeoutMs = maxTimeoutMs;
                count();
                return { timeoutMs: maxTimeoutMs };
              },
              pet: count,
              disarm: () => {
                this.disarmed += 1;
                this.#cancelReset();
              },
            },
      renewals: {
        load: () => this.renewals,
        save: (renewals) => {
          this.renewals = renewals;
          return this.keepsRenewals;
        },
      },
      log: () => this.onLog(),
      onEvent: () => {},
    });
  }

  #io(): PoolIo {
    return {
      exchange: async (own, read) => {
        if (this.storage === 'unsupported') throw new NothingWrittenError('no direct access', true);
        if (this.storage === 'fails') throw new Error('I/O error');
        if (this.storage === 'hangs') await new Promise<void>((resolve) => this.#waiting.push(resolve));
        if (own !== null) this.slots.set(own.slot, own.record);
        return read.map((slot): Slot => {
          const record = this.slots.get(slot);
          return record === undefined ? { kind: 'empty' } : { kind: 'record', record };
        });
      },
      close: () => {},
    };
  }
}
