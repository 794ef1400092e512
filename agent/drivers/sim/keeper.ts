/**
 * What keeps a simulated host's leases: the very code of the real keeper on the world's clock, with a slot in the shared
 * directory, a watchdog that takes the host's power, and a kill that reaches the domains without any driver. It belongs to
 * the host, not to the agent: it goes on while the agent is dead, and ends with the host's power.
 *
 * World clocks do not jump here: the keeper of a real host counts by the kernel's clock since boot.
 */
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { endingBoth } from '../../lease/hung-starts.ts';
import { type KeeperEvent, LeaseKeeper } from '../../lease/keeper.ts';
import type { KeeperTime, PoolIo, PoolPlace, VmEnder, Watchdog } from '../../lease/parts.ts';
import type { LeaseRecord, Slot } from '../../lease/record.ts';
import type { SimHost } from './host.ts';

const probeEveryMs = 1000;

export class SimKeeper {
  /** Written by the agent, kept on the host's disk. */
  plan: { readonly plan: LivenessPlan; readonly places: readonly PoolPlace[] } | null = null;
  /** VMs that were ended and not started since. */
  readonly ended = new Set<string>();
  /** Pools of VMs whose start the hypervisor has not answered; written by the agent. */
  readonly starts = new Map<string, readonly string[]>();
  readonly #host: SimHost;
  readonly #heardMs = new Map<string, number>();
  readonly #listeners = new Set<(event: KeeperEvent | 'gone') => void>();
  #renewals: Readonly<Record<string, number>> = {};
  #keeper: LeaseKeeper | null = null;
  #cancelProbes: () => void = () => {};
  #cancelReset: () => void = () => {};

  constructor(host: SimHost) {
    this.#host = host;
  }

  get isRunning(): boolean {
    return this.#keeper !== null;
  }

  /** Starts it unless it runs, or makes it take a new plan. Nothing happens without a plan or power. */
  start(): void {
    if (this.plan === null || !this.#host.isOn) return;
    this.#keeper ??= this.#make();
    this.#keeper.apply(this.plan.plan, this.plan.places);
  }

  /** Ends in order: takes its promises back first, as long as that takes. */
  async stop(): Promise<void> {
    await this.#keeper?.stop();
    this.kill();
  }

  /** kill -9: nothing is taken back, the watchdog runs on. */
  kill(): void {
    if (this.#keeper === null) return;
    this.#keeper.kill();
    this.#keeper = null;
    this.#cancelProbes();
    for (const listener of this.#listeners) listener('gone');
  }

  /** The host lost its power: memory, /run and the watchdog's count are gone. */
  powerLost(): void {
    this.kill();
    this.#cancelReset();
    this.#renewals = {};
    this.#heardMs.clear();
    this.ended.clear();
    this.starts.clear();
  }

  listen(listener: (event: KeeperEvent | 'gone') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  report(): Liveness | null {
    if (this.#keeper === null) return null;
    const now = this.#host.world.clock.now();
    const peers = (this.plan?.plan.peers ?? []).map(({ hostId }) => {
      const heardMs = this.#heardMs.get(hostId);
      return { hostId, heardMsAgo: heardMs === undefined ? null : now - heardMs };
    });
    const uplinks = [...this.#host.uplinks].map(([name, up]) => ({ name, up }));
    return { ...this.#keeper.report(), peers, uplinks };
  }

  #make(): LeaseKeeper {
    const host = this.#host;
    const { clock } = host.world;
    const time: KeeperTime = { nowMs: () => clock.now(), after: (ms, work) => clock.after(ms, work) };
    const keeper = new LeaseKeeper({
      hostId: host.hostId,
      bootId: host.bootId,
      time,
      openPool: (place) => new SimPoolIo(host, place),
      ender: endingBoth(simEnder(host), endingStarts(host)),
      watchdog: host.hasWatchdog ? this.#watchdog(time) : null,
      renewals: {
        load: () => this.#renewals,
        save: (renewals) => {
          this.#renewals = renewals;
          return true;
        },
      },
      log: () => {},
      onEvent: (event) => {
        if (event.kind === 'storage-lost') for (const vmId of event.vmIds) this.ended.add(vmId);
        for (const listener of this.#listeners) listener(event);
      },
    });
    this.#probe();
    return keeper;
  }

  #watchdog(time: KeeperTime): Watchdog {
    let timeoutMs = 0;
    const count = (): void => {
      this.#cancelReset();
      this.#cancelReset = time.after(timeoutMs, () => this.#host.watchdogFires());
    };
    return {
      arm: async (maxTimeoutMs) => {
        timeoutMs = maxTimeoutMs;
        count();
        return { timeoutMs };
      },
      pet: count,
      disarm: () => this.#cancelReset(),
    };
  }

  #probe(): void {
    const { world } = this.#host;
    for (const { hostId } of this.plan?.plan.peers ?? []) {
      if (world.hears(this.#host.hostId, hostId)) this.#heardMs.set(hostId, world.clock.now());
    }
    this.#cancelProbes = world.clock.after(probeEveryMs, () => this.#probe());
  }
}

/** A slot in the directory that all hosts see. While the host's path to it is cut, an exchange hangs and lands afterwards. */
class SimPoolIo implements PoolIo {
  readonly #host: SimHost;
  readonly #place: PoolPlace;
  readonly #bootId: string;
  #closed = false;

  constructor(host: SimHost, place: PoolPlace) {
    this.#host = host;
    this.#place = place;
    this.#bootId = host.bootId;
  }

  async exchange(
    own: { readonly slot: number; readonly record: LeaseRecord } | null,
    read: readonly number[],
  ): Promise<readonly Slot[]> {
    await this.#host.storageAnswers(this.#place.path);
    if (this.#closed || this.#bootId !== this.#host.bootId || !this.#host.isOn) throw new Error('gone meanwhile');
    const { leases } = this.#host.world.sharedDirectory(this.#place.path);
    if (own !== null) leases.set(own.slot, own.record);
    return read.map((slot) => {
      const record = leases.get(slot);
      return record === undefined ? { kind: 'empty' } : { kind: 'record', record };
    });
  }

  close(): void {
    this.#closed = true;
  }
}

function simEnder(host: SimHost): VmEnder {
  const users = ({ poolId }: PoolPlace) =>
    [...host.domains.values()].filter(
      (domain) => domain.isActive && domain.spec?.disks.some((disk) => disk.spec.poolId === poolId) === true,
    );
  return {
    find: async (pool) => users(pool).map((domain) => domain.vmId),
    end: async (pool) => {
      const found = users(pool);
      if (host.ignoresKills) return { vmIds: found.map((domain) => domain.vmId), left: found.length };
      for (const domain of found) {
        if (domain.incoming) host.remove(domain, 'storage lost');
        else host.change(domain, 'crashed', 'storage lost');
      }
      return { vmIds: found.map((domain) => domain.vmId), left: 0 };
    },
  };
}

/** Its daemon is killed, and with it all that it was asked and has not done. */
function endingStarts(host: SimHost): VmEnder {
  const starting = ({ poolId }: PoolPlace) =>
    [...host.keeper.starts].flatMap(([vmId, poolIds]) => (poolIds.includes(poolId) ? [vmId] : []));
  return {
    find: async (pool) => starting(pool),
    end: async (pool) => {
      const vmIds = starting(pool);
      if (vmIds.length === 0) return { vmIds, left: 0 };
      if (host.ignoresKills) return { vmIds, left: 1 };
      host.stall.daemonKilled();
      for (const vmId of vmIds) host.keeper.starts.delete(vmId);
      return { vmIds, left: 0 };
    },
  };
}
