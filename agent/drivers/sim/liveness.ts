/** LivenessDriver on a simulated host: the agent's hand on the host's keeper. Like the real one it starts a keeper that died. */
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { isNeverKept } from '../../lease/parts.ts';
import type { LeasePlace, LivenessDriver, LivenessEvent } from '../liveness.ts';
import type { SimHost } from './host.ts';

const restartAfterMs = 200;

export class SimLivenessDriver implements LivenessDriver {
  readonly #host: SimHost;
  readonly #listeners = new Set<(event: LivenessEvent) => void>();
  #stopListening: () => void = () => {};
  #cancelStart: () => void = () => {};

  constructor(host: SimHost) {
    this.#host = host;
  }

  open(): Promise<void> {
    const { keeper, world } = this.#host;
    this.#stopListening();
    this.#stopListening = keeper.listen((event) => {
      if (event === 'gone') this.#cancelStart = world.clock.after(restartAfterMs, () => keeper.start());
      else for (const listener of this.#listeners) listener(event);
    });
    if (!keeper.isRunning) keeper.start();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#stopListening();
    this.#cancelStart();
    return Promise.resolve();
  }

  async end(withinMs: number): Promise<boolean> {
    const { keeper, world } = this.#host;
    await this.close();
    const ended = keeper.stop().then(() => true);
    return await Promise.race([ended, world.clock.sleep(withinMs).then(() => false)]);
  }

  apply(plan: LivenessPlan, places: readonly LeasePlace[]): Promise<void> {
    this.#host.requirePower();
    this.#host.keeper.plan = { plan, places };
    this.#host.keeper.start();
    return Promise.resolve();
  }

  serve(places: readonly LeasePlace[]): Promise<void> {
    this.#host.requirePower();
    const { keeper } = this.#host;
    if (keeper.plan !== null) keeper.plan = { ...keeper.plan, places };
    keeper.start();
    return Promise.resolve();
  }

  report(): Liveness | null {
    return this.#host.isOn ? this.#host.keeper.report() : null;
  }

  leaseOf(poolId: string): 'held' | 'lost' | 'none' {
    const { keeper } = this.#host;
    if (keeper.plan?.plan.pools.some((pool) => pool.poolId === poolId) !== true) return 'none';
    const own = keeper.report()?.own.find((pool) => pool.poolId === poolId);
    if (own === undefined || own.lost) return 'lost';
    if (own.renewedMsAgo !== null) return 'held';
    return isNeverKept(own.error) ? 'none' : 'lost';
  }

  endedBecause(vmId: string): string | null {
    return this.#host.keeper.ended.has(vmId) ? 'storage lost' : null;
  }

  forget(vmId: string): void {
    this.#host.keeper.ended.delete(vmId);
  }

  startPending(vmId: string, poolIds: readonly string[]): Promise<void> {
    this.#host.requirePower();
    this.#host.keeper.starts.set(vmId, poolIds);
    return Promise.resolve();
  }

  startSettled(vmId: string): Promise<void> {
    this.#host.keeper.starts.delete(vmId);
    return Promise.resolve();
  }

  pendingStarts(): Promise<readonly string[]> {
    return Promise.resolve([...this.#host.keeper.starts.keys()]);
  }

  watch(listener: (event: LivenessEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
