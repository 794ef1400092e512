/**
 * Watches for the one thing that must never be: a VM that runs on two hosts. Reports of a migration may overlap for a
 * moment, so both hosts are asked again before it is called out.
 */
import { vmList } from '@kvasir/api/agent/vm.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import type { HostCalls } from './calls.ts';
import type { Inventory } from './inventory.ts';
import { isActive } from './observe-vm.ts';

const confirmAfterMs = 3000;
const repeatAfterMs = 60_000;

export class RunningTwiceWatch {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #calls: HostCalls;
  readonly #inventory: Inventory;
  readonly #checking = new Set<string>();
  #closed = false;

  constructor(store: Store, clock: Clock, calls: HostCalls, inventory: Inventory) {
    this.#store = store;
    this.#clock = clock;
    this.#calls = calls;
    this.#inventory = inventory;
    inventory.known.onTwice = (vmId) => this.#suspect(vmId, confirmAfterMs);
  }

  close(): void {
    this.#closed = true;
  }

  #suspect(vmId: string, afterMs: number): void {
    if (this.#closed || this.#checking.has(vmId)) return;
    this.#checking.add(vmId);
    this.#clock.after(afterMs, () => {
      if (this.#closed) return;
      void this.#confirm(vmId).then(
        (twice) => {
          this.#checking.delete(vmId);
          if (twice) this.#suspect(vmId, repeatAfterMs);
        },
        () => {
          this.#checking.delete(vmId);
          this.#suspect(vmId, confirmAfterMs);
        },
      );
    });
  }

  async #confirm(vmId: string): Promise<boolean> {
    const suspects = this.#inventory.known.activeHosts(vmId);
    if (suspects.length < 2) return false;
    const answers = await Promise.all(suspects.map((hostId) => this.#isActiveNow(hostId, vmId)));
    const where = suspects.filter((_, index) => answers[index]);
    if (where.length < 2) return false;
    await this.#store.transaction(async (tx) => {
      const vm = await vms.find(tx, { id: vmId });
      const names = (await hosts.select(tx, { id: where }, 'name')).map((host) => host.name);
      const name = vm?.name ?? vmId;
      await appendEvent(tx, {
        at: this.#clock.now(),
        kind: 'vm.running-twice',
        severity: 'error',
        message: `VM ${name} runs on ${names.join(' and ')} at once: its disks are in danger`,
        target: { kind: 'vm', id: vmId, name },
        projectId: vm?.projectId ?? null,
        details: { hostIds: where },
      });
    });
    return true;
  }

  /** A host that can't be asked counts by its last word. */
  async #isActiveNow(hostId: string, vmId: string): Promise<boolean> {
    try {
      const { domains } = await this.#calls.call(hostId, vmList, {}, { reconnectMs: 0, timeoutMs: confirmAfterMs });
      const report = domains.find((domain) => domain.vmId === vmId);
      return report !== undefined && report.managed && isActive(report);
    } catch {
      return this.#inventory.known.isActiveOn(hostId, vmId);
    }
  }
}
