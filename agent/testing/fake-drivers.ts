/**
 * Drivers in memory for tests of the agent itself: they do at once what they are told, and tests look inside. The hypervisor
 * is here, with the set of them all; the others have files of their own.
 */
import { Duplex } from 'node:stream';
import type { DomainReport, DomainState } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { HostDrivers } from '../drivers/drivers.ts';
import type { DomainEvent, DomainSpec, FunctionEvent, HypervisorDriver, MigrationCall } from '../drivers/hypervisor.ts';
import { FakeGuest } from './fake-guest.ts';
import { FakeLiveness } from './fake-liveness.ts';
import { FakeNetwork } from './fake-network.ts';
import { FakeStorage } from './fake-storage.ts';

export interface FakeDomain {
  spec: DomainSpec | null;
  report: DomainReport;
}

export function domainReport(vmId: string, changes: Partial<DomainReport> = {}): DomainReport {
  const base = { vmId, name: `vm-${vmId.slice(0, 4)}`, managed: true, state: 'stopped', reason: null } as const;
  return { ...base, incoming: false, startedAtMs: null, guest: null, drift: [], ...changes };
}

export class FakeHypervisor implements HypervisorDriver {
  readonly domains = new Map<string, FakeDomain>();
  readonly calls: string[] = [];
  /** Awaited by `stop` with a timeout and by `sendMigration`, unless their signal fires. */
  gate: Promise<void> = Promise.resolve();
  /** Awaited by `answers`. */
  answering: Promise<void> = Promise.resolve();
  /** Answers consoles and pictures. */
  console: () => Duplex = echo;
  picture: Buffer = Buffer.from('picture');
  readonly #listeners = new Set<(event: DomainEvent) => void>();
  readonly #functionListeners = new Set<(event: FunctionEvent) => void>();

  async open(): Promise<void> {}
  async close(): Promise<void> {}

  async answers(): Promise<void> {
    await this.answering;
  }

  async facts() {
    return {
      virtualization: 'simulated' as const,
      virtualizationReason: 'a fake',
      cpus: 8,
      cpuModel: 'Fake CPU',
      usableCpuModels: ['qemu64'],
      memoryMib: 16_384,
      versions: { qemu: '0.0' },
    };
  }

  async list(): Promise<DomainReport[]> {
    return [...this.domains.values()].map((domain) => domain.report);
  }

  watch(listener: (event: DomainEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  watchFunctions(listener: (event: FunctionEvent) => void): () => void {
    this.#functionListeners.add(listener);
    return () => this.#functionListeners.delete(listener);
  }

  tellFunctions(event: FunctionEvent): void {
    for (const listener of this.#functionListeners) listener(event);
  }

  /** Puts a domain there, as if it had always been. */
  put(report: DomainReport): void {
    this.domains.set(report.vmId, { spec: null, report });
  }

  change(vmId: string, changes: Partial<DomainReport>, because: string | null = null): void {
    const domain = this.#get(vmId);
    domain.report = { ...domain.report, ...changes };
    this.#tell({ domain: domain.report, removed: false, because });
  }

  remove(vmId: string, because: string | null = null): void {
    const { report } = this.#get(vmId);
    this.domains.delete(vmId);
    this.#tell({ domain: report, removed: true, because });
  }

  async define(domain: DomainSpec): Promise<DomainState> {
    this.calls.push(`define ${domain.vm.vmId}`);
    const report = this.domains.get(domain.vm.vmId)?.report ?? domainReport(domain.vm.vmId, { name: domain.vm.name });
    this.domains.set(domain.vm.vmId, { spec: domain, report });
    this.#tell({ domain: report, removed: false, because: 'defined' });
    return report.state;
  }

  async start(vmId: string, { paused }: { readonly paused: boolean }): Promise<DomainState> {
    return this.#state(vmId, 'start', paused ? 'paused' : 'running');
  }

  async stop(vmId: string, timeoutMs: number, signal: AbortSignal): Promise<DomainState> {
    this.calls.push(`stop ${vmId} ${timeoutMs}`);
    if (timeoutMs > 0) await this.#wait(signal, true);
    return this.#state(vmId, 'stopped', 'stopped');
  }

  async reset(vmId: string): Promise<DomainState> {
    return this.#state(vmId, 'reset', 'running');
  }

  async pause(vmId: string): Promise<DomainState> {
    return this.#state(vmId, 'pause', 'paused');
  }

  async resume(vmId: string): Promise<DomainState> {
    return this.#state(vmId, 'resume', 'running');
  }

  async suspend(vmId: string): Promise<DomainState> {
    return this.#state(vmId, 'suspend', 'suspended');
  }

  async undefine(vmId: string): Promise<void> {
    this.calls.push(`undefine ${vmId}`);
    const domain = this.domains.get(vmId);
    if (domain === undefined) return;
    if (domain.report.state === 'running') {
      throw new KvasirError('wrong-state', { action: 'undefine', kind: 'vm', name: vmId, state: 'running' });
    }
    this.remove(vmId, 'undefined');
  }

  async resize() {
    return { live: false };
  }

  async attachDisk(): Promise<void> {}
  async detachDisk(): Promise<void> {}
  async resizeDisk(): Promise<void> {}
  async attachNic(): Promise<void> {}
  async detachNic(): Promise<void> {}

  async screenshot(vmId: string): Promise<Buffer> {
    this.#get(vmId);
    return this.picture;
  }

  async openConsole(vmId: string): Promise<Duplex> {
    this.#get(vmId);
    return this.console();
  }

  migrationTarget() {
    return { connectUri: 'fake://host/', migrationHost: '127.0.0.1' };
  }

  async prepareIncoming(domain: DomainSpec): Promise<void> {
    this.calls.push(`prepare ${domain.vm.vmId}`);
  }

  async sendMigration({ vmId }: { readonly vmId: string }, { signal, progress }: MigrationCall) {
    this.calls.push(`send ${vmId}`);
    progress({ percent: 50, bytesDone: 5, bytesTotal: 10, downtimeMs: null });
    await this.#wait(signal, false);
    this.remove(vmId, 'migrated');
    return { downtimeMs: 12, bytesTotal: 10 };
  }

  async cancelMigration(vmId: string) {
    this.calls.push(`cancel ${vmId}`);
    return this.domains.has(vmId) ? ('stayed' as const) : ('left' as const);
  }

  async abandonIncoming(vmId: string): Promise<boolean> {
    return this.domains.has(vmId);
  }

  #state(vmId: string, call: string, state: DomainState): DomainState {
    this.calls.push(`${call} ${vmId}`);
    this.change(vmId, { state, startedAtMs: state === 'running' ? 1 : null }, call);
    return state;
  }

  async #wait(signal: AbortSignal, goesOn: boolean): Promise<void> {
    const aborted = new Promise<void>((resolve, reject) => {
      const abort = (): void => (goesOn ? resolve() : reject(signal.reason as Error));
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort);
    });
    await Promise.race([this.gate, aborted]);
  }

  #get(vmId: string): FakeDomain {
    const domain = this.domains.get(vmId);
    if (domain === undefined) throw new KvasirError('not-found', { kind: 'vm', id: vmId });
    return domain;
  }

  #tell(event: DomainEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

export interface FakeDrivers extends HostDrivers {
  readonly hypervisor: FakeHypervisor;
  readonly network: FakeNetwork;
  readonly storage: FakeStorage;
  readonly guest: FakeGuest;
  readonly liveness: FakeLiveness;
}

export function fakeDrivers(): FakeDrivers {
  return {
    hypervisor: new FakeHypervisor(),
    network: new FakeNetwork(),
    storage: new FakeStorage(),
    guest: new FakeGuest(),
    liveness: new FakeLiveness(),
  };
}

/** A console that says back what it hears. */
export function echo(): Duplex {
  return new Duplex({
    allowHalfOpen: false,
    read() {},
    write(chunk, _encoding, done) {
      this.push(chunk);
      done();
    },
    final(done) {
      this.push(null);
      done();
    },
  });
}
