/**
 * A live migration between two simulated hosts. The job belongs to the source host, not to the call that began it: an agent
 * that restarts joins it, as with libvirt. The hand-over is one step without waiting in it, so that the domain runs on
 * exactly one side at every moment, whoever dies.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { MigrationCall, MigrationProgress, MigrationSend } from '../hypervisor.ts';
import { SimDomain } from './domain.ts';
import type { Fault } from './faults.ts';
import type { SimHost } from './host.ts';

export interface MigrationResult {
  readonly downtimeMs: number | null;
  readonly bytesTotal: number | null;
}

const steps = 10;
const mib = 1024 * 1024;

export function connectUriOf(hostId: string): string {
  return `sim://${hostId}/system`;
}

export class MigrationJob {
  readonly #source: SimHost;
  readonly #request: MigrationSend;
  readonly #fault: Fault | null;
  readonly #cancel = new AbortController();
  readonly #watchers = new Set<MigrationCall['progress']>();
  readonly done: Promise<MigrationResult>;

  constructor(source: SimHost, request: MigrationSend, fault: Fault | null) {
    this.#source = source;
    this.#request = request;
    this.#fault = fault;
    source.migrations.set(request.vmId, this);
    this.done = this.#run().finally(() => source.migrations.delete(request.vmId));
    this.done.catch(() => undefined);
  }

  /** Waits for the end together with others; a fired signal cancels the job for all of them. */
  async join(call: MigrationCall): Promise<MigrationResult> {
    const cancel = () => this.#cancel.abort();
    if (call.signal.aborted) cancel();
    call.signal.addEventListener('abort', cancel, { once: true });
    this.#watchers.add(call.progress);
    try {
      return await this.done;
    } finally {
      this.#watchers.delete(call.progress);
      call.signal.removeEventListener('abort', cancel);
    }
  }

  /** Resolves when the job has ended, which may be with the domain's arrival. */
  async cancel(): Promise<void> {
    this.#cancel.abort();
    await Promise.allSettled([this.done]);
  }

  async #run(): Promise<MigrationResult> {
    // Whoever made the job joins it first.
    await Promise.resolve();
    const { vmId } = this.#request;
    const domain = this.#source.domains.get(vmId);
    if (domain === undefined) return { downtimeMs: null, bytesTotal: null };
    if (!domain.isActive || domain.incoming) {
      throw new KvasirError('wrong-state', { action: 'migrate', kind: 'domain', name: vmId, state: domain.state });
    }
    const target = this.#target();
    this.#requireReady(domain, target);
    const incoming = new SimDomain(vmId, domain.name, domain.spec);
    incoming.incoming = true;
    target.domains.set(vmId, incoming);
    target.change(incoming, 'paused', 'migrating in');
    try {
      const bytesTotal = await this.#copy(domain, target);
      return this.#handOver(domain, incoming, target, bytesTotal);
    } catch (error) {
      if (target.domains.get(vmId) === incoming && incoming.incoming) target.remove(incoming, 'migration failed');
      throw error;
    }
  }

  #target(): SimHost {
    const { world } = this.#source;
    const target = world.hosts.find((host) => connectUriOf(host.hostId) === this.#request.connectUri);
    if (target === undefined || !target.isOn || world.isCut(this.#source.hostId, target.hostId)) {
      throw failed(`cannot connect to ${this.#request.connectUri}`);
    }
    if (target === this.#source) throw failed('a domain cannot be migrated to the host that it is on');
    return target;
  }

  /** What a real destination needs as well: room, its side of the NICs, and every disk. */
  #requireReady(domain: SimDomain, target: SimHost): void {
    if (target.domains.get(domain.vmId)?.isActive === true)
      throw failed(`domain ${domain.vmId} is active there already`);
    target.requireRoom(domain.spec);
    for (const { spec } of domain.spec?.nics ?? []) {
      if (!target.ports.has(spec.nicId)) throw failed(`the device of NIC ${spec.nicId} is missing at the destination`);
    }
    for (const { spec, source } of domain.spec?.disks ?? []) {
      const copied = this.#request.copyVolumeIds.includes(spec.volumeId);
      const same = target.volumeAt(source.path) === this.#source.volumeAt(source.path);
      if (target.volumeAt(source.path) === undefined || (!same && !copied)) {
        throw failed(`${source.path} is not accessible at the destination`);
      }
    }
  }

  async #copy(domain: SimDomain, target: SimHost): Promise<number> {
    const memoryMib = domain.spec?.vm.memoryMib ?? 0;
    const byRate = (memoryMib / 1024) * this.#source.migrationMsPerGib;
    const { bandwidthMibps } = this.#request;
    const durationMs = bandwidthMibps === null ? byRate : Math.max(byRate, (memoryMib / bandwidthMibps) * 1000);
    const bytesTotal = memoryMib * mib;
    for (let step = 0; step < steps; step++) {
      this.#check(target);
      const percent = (100 / steps) * step;
      this.#die(percent, target);
      this.#check(target);
      this.#tell({ percent, bytesDone: (bytesTotal * percent) / 100, bytesTotal, downtimeMs: null });
      await this.#sleep(durationMs / steps);
    }
    this.#check(target);
    if (!domain.isActive) throw failed('the domain stopped while it was migrated');
    return bytesTotal;
  }

  #handOver(domain: SimDomain, incoming: SimDomain, target: SimHost, bytesTotal: number): MigrationResult {
    const { state, startedAtMs } = domain;
    this.#source.domains.delete(domain.vmId);
    this.#source.world.moves(domain.vmId, this.#source.hostId, target.hostId);
    incoming.incoming = false;
    incoming.enter(state, 'migrated', this.#source.world.clock.now());
    incoming.startedAtMs = startedAtMs;
    this.#source.tell(domain, true, 'migrated away');
    target.tell(incoming, false, 'migrated');
    const downtimeMs = Math.round(this.#source.faults.between(50, this.#request.maxDowntimeMs ?? 300));
    return { downtimeMs, bytesTotal };
  }

  #check(target: SimHost): void {
    const { world } = this.#source;
    if (!this.#source.isOn) throw failed('the source lost power');
    if (!target.isOn || world.isCut(this.#source.hostId, target.hostId)) throw failed('the destination is gone');
    if (this.#cancel.signal.aborted) throw new KvasirError('cancelled');
  }

  #die(percent: number, target: SimHost): void {
    const fault = this.#fault;
    if (fault === null || !('atPercent' in fault) || percent < fault.atPercent) return;
    if (fault.kind === 'source-dies') this.#source.powerOff();
    else target.powerOff();
  }

  #tell(report: MigrationProgress): void {
    for (const watcher of this.#watchers) watcher(report);
  }

  async #sleep(ms: number): Promise<void> {
    try {
      await this.#source.world.clock.sleep(ms, this.#cancel.signal);
    } catch (error) {
      if (!this.#cancel.signal.aborted) throw error;
    }
  }
}

function failed(reason: string): KvasirError {
  return new KvasirError('host-failed', { reason });
}
