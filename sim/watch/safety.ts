/** Held against the world at every quiet moment: what must never be, however bad things are. */
import type { Executor } from '@kvasir/manager/store/database.ts';
import { fenceProofs, type FenceProofRow } from '@kvasir/manager/store/fence-proofs.ts';
import { tasks } from '@kvasir/manager/store/tasks.ts';
import { vmDisks } from '@kvasir/manager/store/vms.ts';
import { volumes } from '@kvasir/manager/store/volumes.ts';
import type { World } from '../world/world.ts';
import { cutToSave, wrongInStandby } from './standby.ts';
import type { Violation } from './violation.ts';

/** Well for so long, a host has had time to show it to everybody. */
export const wellForMs = 10_000;

export class SafetyWatch {
  readonly #world: World;
  #committed = false;
  #fencedSeen = 0;
  #resetsSeen = 0;
  #proofs: readonly FenceProofRow[] = [];
  readonly #restarts = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    world.store.onCommit(() => {
      this.#committed = true;
    });
  }

  async look(): Promise<Violation | undefined> {
    return (
      this.#twice() ??
      this.#gateways() ??
      this.#leaders() ??
      (await this.#fenced()) ??
      this.#reset() ??
      (await this.#proven())
    );
  }

  /** Once more over all that was done, when all is over. */
  async atEnd(): Promise<Violation | undefined> {
    return await this.#withoutProof(this.#world.store.db);
  }

  #twice(): Violation | undefined {
    const { sim } = this.#world;
    const [first] = sim.violations;
    if (first === undefined) return undefined;
    const where = first.hostIds.map((id) => this.#world.nameOf(id)).join(' and ');
    return this.#violation('runs-twice', `${this.#world.vmName(first.vmId)} runs on ${where}`);
  }

  #gateways(): Violation | undefined {
    const where = new Map<string, string>();
    for (const { name, sim } of this.#world.machines.values()) {
      if (!sim.isOn) continue;
      for (const router of sim.slice.routers) {
        if (router.gateway?.here !== true) continue;
        const other = where.get(router.routerId);
        if (other !== undefined)
          return this.#violation('two-gateways', `${router.name} is served by ${other} and ${name}`);
        where.set(router.routerId, name);
      }
    }
    return undefined;
  }

  #leaders(): Violation | undefined {
    const leading = this.#world.managers.filter((manager) => manager.leads);
    if (leading.length < 2) return undefined;
    return this.#violation('two-leaders', `${leading.map(({ name }) => name).join(' and ')} lead at once`);
  }

  async #fenced(): Promise<Violation | undefined> {
    const { fenced } = this.#world;
    for (; this.#fencedSeen < fenced.length; this.#fencedSeen++) {
      const { hostId, atMs, wellSinceMs, vmIds } = fenced[this.#fencedSeen]!;
      if (await cutToSave(this.#world, hostId)) {
        const [vmId] = vmIds;
        if (vmId === undefined) continue;
        const what = `the power of ${this.#world.nameOf(hostId)} was cut to save it, with ${this.#world.vmName(vmId)} there`;
        return this.#violation('standby', what);
      }
      if (wellSinceMs === null || atMs - wellSinceMs < wellForMs) continue;
      const what = `the power of ${this.#world.nameOf(hostId)} was cut, which has been well for ${atMs - wellSinceMs} ms`;
      return this.#violation('healthy-host-fenced', what);
    }
    return undefined;
  }

  #reset(): Violation | undefined {
    const { watchdogResets } = this.#world.sim;
    for (; this.#resetsSeen < watchdogResets.length; this.#resetsSeen++) {
      const { hostId, atMs } = watchdogResets[this.#resetsSeen]!;
      const machine = [...this.#world.machines.values()].find((each) => each.hostId === hostId)!;
      // Only who lost its keeper, or cannot end its VMs, may be reset: not who has a slow storage.
      if (machine.sim.ignoresKills || atMs - machine.keeperFaultMs < 30_000) continue;
      return this.#violation(
        'healthy-host-fenced',
        `${machine.name} was reset by its watchdog, though its keeper runs`,
      );
    }
    return undefined;
  }

  async #proven(): Promise<Violation | undefined> {
    const { db } = this.#world.store;
    if (this.#committed) {
      this.#committed = false;
      this.#proofs = await fenceProofs.select(db, { endedAt: null });
      const without = this.#proofs.length === 0 ? undefined : await this.#withoutProof(db);
      if (without !== undefined) return without;
      const wrong = await wrongInStandby(this.#world);
      if (wrong !== undefined) return this.#violation('standby', wrong);
    }
    for (const proof of this.#proofs) {
      const machine = [...this.#world.machines.values()].find(({ hostId }) => hostId === proof.hostId)!;
      const { sim, name } = machine;
      if (!sim.isOn || (proof.bootId !== null && proof.bootId !== sim.bootId)) continue;
      const runs = [...sim.domains.values()].find(
        (domain) =>
          domain.isActive &&
          (proof.poolIds === null ||
            domain.spec?.disks.some(({ spec }) => proof.poolIds!.includes(spec.poolId)) === true),
      );
      if (runs === undefined) continue;
      const what = `${name} is taken for dead (${proof.kind}: ${proof.because}), and ${this.#world.vmName(runs.vmId)} runs there`;
      return this.#violation('false-proof', what);
    }
    return undefined;
  }

  /** Each restart, once, when its task appears. */
  async #withoutProof(db: Executor): Promise<Violation | undefined> {
    for (const task of await tasks.select(db, { kind: 'vm-restart' })) {
      if (this.#restarts.has(task.id)) continue;
      this.#restarts.add(task.id);
      const { vmId, fromHostId, proofId } = task.params as { vmId: string; fromHostId: string; proofId: string | null };
      // The old host itself is asked, and refuses while the VM runs.
      if (proofId === null) continue;
      const proof = await fenceProofs.find(db, { id: proofId });
      const what = `${this.#world.vmName(vmId)} is to be restarted`;
      if (proof?.hostId !== fromHostId)
        return this.#violation('restart-without-proof', `${what}, and nothing is proven`);
      if (proof.poolIds === null) continue;
      const disks = await vmDisks.select(db, { vmId });
      const used = await volumes.select(db, { id: disks.map(({ volumeId }) => volumeId) });
      if (used.some(({ poolId }) => proof.poolIds!.includes(poolId))) continue;
      return this.#violation('restart-without-proof', `${what}, and the proof does not cover it`);
    }
    return undefined;
  }

  #violation(kind: Violation['kind'], what: string): Violation {
    return { kind, atMs: this.#world.nowMs, what };
  }
}
