/**
 * The agent's side of the signs of life: tells the manager each second what the keeper sees, and says of VMs that the keeper
 * ended why they are off. libvirt knows only that their process was killed, and may itself hang in the lost storage: so what is
 * told of these VMs comes from their last reports.
 */
import { isAtRest, type DomainReport } from '@kvasir/api/agent/vm.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { HostDrivers } from './drivers/drivers.ts';
import type { LivenessEvent } from './drivers/liveness.ts';
import type { Log } from './log.ts';

const tellEveryMs = 1000;

export interface LivenessWatchOptions {
  readonly clock: Clock;
  readonly drivers: HostDrivers;
  /** Null: it answers. */
  readonly hypervisorSilentMs: () => number | null;
  readonly notify: (method: string, params: unknown) => void;
  readonly log: Log;
}

export class LivenessWatch {
  readonly #clock: Clock;
  readonly #drivers: HostDrivers;
  readonly #hypervisorSilentMs: () => number | null;
  readonly #notify: (method: string, params: unknown) => void;
  readonly #log: Log;
  /** The last report of each domain. */
  readonly #known = new Map<string, DomainReport>();
  #unwatch: () => void = () => {};
  #cancel: () => void = () => {};
  #closed = false;

  constructor({ clock, drivers, hypervisorSilentMs, notify, log }: LivenessWatchOptions) {
    this.#clock = clock;
    this.#drivers = drivers;
    this.#hypervisorSilentMs = hypervisorSilentMs;
    this.#notify = notify;
    this.#log = log;
  }

  async start(): Promise<void> {
    this.#unwatch = this.#drivers.liveness.watch((event) => this.#happened(event));
    await this.#drivers.liveness.open();
    this.#tell();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    this.#unwatch();
    await this.#drivers.liveness.close();
  }

  /** The report with the true reason. */
  explain(domain: DomainReport, removed = false): DomainReport {
    if (removed) this.#known.delete(domain.vmId);
    else this.#known.set(domain.vmId, domain);
    const reason = this.#drivers.liveness.endedBecause(domain.vmId);
    const isOff = isAtRest(domain.state);
    return reason !== null && isOff ? { ...domain, state: 'crashed', reason } : domain;
  }

  /** The last reports. */
  get lastSeen(): readonly DomainReport[] {
    return [...this.#known.values()];
  }

  /** Tells once more what was last seen of it: the manager was told something older since. */
  tellAgain(vmId: string): void {
    const domain = this.#known.get(vmId);
    if (domain === undefined) return;
    this.#notify('domain-changed', { domain: this.explain(domain), removed: false, because: domain.reason });
  }

  /** Tells of all domains; what was told of one while they were listed is newer. */
  async tellAll(): Promise<void> {
    const before = new Map(this.#known);
    const domains = await this.#drivers.hypervisor.list();
    const isNews = (vmId: string): boolean => this.#known.get(vmId) === before.get(vmId);
    const here = new Set(domains.map(({ vmId }) => vmId));
    const because = 'the hypervisor answers again';
    for (const domain of domains.filter(({ vmId }) => isNews(vmId))) {
      this.#notify('domain-changed', { domain: this.explain(domain), removed: false, because });
    }
    for (const domain of [...before.values()].filter(({ vmId }) => !here.has(vmId) && isNews(vmId))) {
      this.#notify('domain-changed', { domain: this.explain(domain, true), removed: true, because });
    }
  }

  #tell(): void {
    if (this.#closed) return;
    const report = this.#drivers.liveness.report();
    const silentMs = this.#hypervisorSilentMs();
    const silence = silentMs === null ? {} : { hypervisorSilentMs: silentMs };
    if (report !== null) this.#notify('liveness', { ...report, ...silence });
    this.#cancel = this.#clock.after(tellEveryMs, () => this.#tell());
  }

  /** The hypervisor may have told of the end before the keeper said why, or may not be able to tell of it at all. */
  #happened(event: LivenessEvent): void {
    if (event.kind === 'storage-back') {
      this.#log(`storage back: pool ${event.poolId}`);
      return;
    }
    if (event.vmIds.length === 0) this.#log(`storage lost: pool ${event.poolId}`);
    for (const vmId of event.vmIds) {
      const known = this.#known.get(vmId);
      if (known === undefined || known.incoming) continue;
      const domain = this.explain({ ...known, state: 'crashed', startedAtMs: null, guest: null });
      this.#notify('domain-changed', { domain, removed: false, because: domain.reason });
    }
  }
}
