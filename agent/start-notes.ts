/**
 * Which starts the hypervisor was asked for and has not answered, noted where the keeper of the leases finds them: a start that hangs
 * must not come through once others may have taken the VM over. A note stays when the answer is lost; it goes when the
 * hypervisor is known to be done with it.
 */
import type { LivenessDriver } from './drivers/liveness.ts';

export class StartNotes {
  readonly #liveness: LivenessDriver;
  readonly #underWay = new Set<string>();

  constructor(liveness: LivenessDriver) {
    this.#liveness = liveness;
  }

  /** Before the leases are looked at for the last time: who loses one from then on ends this start, too. */
  async begin(vmId: string, poolIds: readonly string[]): Promise<void> {
    this.#underWay.add(vmId);
    await this.#liveness.startPending(vmId, poolIds);
  }

  /** The hypervisor answered, or was not even asked. */
  async answered(vmId: string): Promise<void> {
    this.#underWay.delete(vmId);
    await this.#liveness.startSettled(vmId);
  }

  /** Nobody waits for its answer any more. */
  givenUp(vmId: string): void {
    this.#underWay.delete(vmId);
  }

  async isPending(vmId: string): Promise<boolean> {
    return this.#underWay.has(vmId) || (await this.#liveness.pendingStarts()).includes(vmId);
  }

  /** Those that nobody waits for, also of an earlier agent. */
  async unanswered(): Promise<readonly string[]> {
    return (await this.#liveness.pendingStarts()).filter((vmId) => !this.#underWay.has(vmId));
  }

  /** The hypervisor is done with these, one way or the other. */
  async settled(vmIds: readonly string[]): Promise<void> {
    for (const vmId of vmIds) if (!this.#underWay.has(vmId)) await this.#liveness.startSettled(vmId);
  }
}
