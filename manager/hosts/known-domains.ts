/**
 * The last report of every domain of every connected host, in memory: to see a VM that runs on two hosts, and how one is whose
 * row says that nobody knows.
 *
 * Invariant: of a host all domains are known, or none: what is not there must be as good as what is.
 */
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import { isActive } from './observe-vm.ts';

export class KnownDomains {
  readonly #hosts = new Map<string, Map<string, DomainReport>>();
  /** VM -> the hosts where it runs for good; only what Kvasir manages. */
  readonly #active = new Map<string, Set<string>>();
  /** Called when a VM is reported active by more than one host. */
  onTwice: (vmId: string, hostIds: readonly string[]) => void = () => {};

  /** Whether all domains of this host are known. */
  has(hostId: string): boolean {
    return this.#hosts.has(hostId);
  }

  get(hostId: string, vmId: string): DomainReport | undefined {
    return this.#hosts.get(hostId)?.get(vmId);
  }

  isActiveOn(hostId: string, vmId: string): boolean {
    return this.#active.get(vmId)?.has(hostId) === true;
  }

  /** Managed VMs whose guests seem to do nothing any more, or let their watchdog run out. */
  *withoutLife(): Iterable<{ readonly hostId: string; readonly report: DomainReport }> {
    for (const [hostId, domains] of this.#hosts) {
      for (const report of domains.values()) {
        const { signs } = report;
        if (!report.managed || !isActive(report) || signs === undefined) continue;
        if (signs.watchdogFired || (signs.quietMs ?? 0) > 0) yield { hostId, report };
      }
    }
  }

  activeHosts(vmId: string): string[] {
    return [...(this.#active.get(vmId) ?? [])];
  }

  /** The host is not connected any more: nothing is known of it. */
  forget(hostId: string): void {
    for (const vmId of this.#hosts.get(hostId)?.keys() ?? []) this.#setActive(hostId, vmId, false);
    this.#hosts.delete(hostId);
  }

  /** These are all domains of the host now. */
  replace(hostId: string, reports: readonly DomainReport[]): void {
    this.forget(hostId);
    this.#hosts.set(hostId, new Map());
    for (const report of reports) this.set(hostId, report);
  }

  /** Another manager leads: what happens from now on is not heard here. */
  clear(): void {
    for (const hostId of [...this.#hosts.keys()]) this.forget(hostId);
  }

  /** One report more; of a host of which nothing is known it does not count, for the whole list is being asked for. */
  set(hostId: string, report: DomainReport): void {
    const domains = this.#hosts.get(hostId);
    if (domains === undefined) return;
    domains.set(report.vmId, report);
    this.#setActive(hostId, report.vmId, report.managed && isActive(report));
  }

  remove(hostId: string, vmId: string): void {
    this.#hosts.get(hostId)?.delete(vmId);
    this.#setActive(hostId, vmId, false);
  }

  #setActive(hostId: string, vmId: string, active: boolean): void {
    const set = this.#active.get(vmId);
    if (!active) {
      if (set?.delete(hostId) === true && set.size === 0) this.#active.delete(vmId);
      return;
    }
    if (set === undefined) {
      this.#active.set(vmId, new Set([hostId]));
      return;
    }
    set.add(hostId);
    if (set.size > 1) this.onTwice(vmId, [...set]);
  }
}
