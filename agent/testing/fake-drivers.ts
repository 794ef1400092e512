/** Drivers in memory for tests of the agent itself: they do at once what they are told, and tests look inside. */
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { Duplex, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { PortCuts } from '@kvasir/api/agent/network.ts';
import type { ImageInfo, VolumeRef } from '@kvasir/api/agent/storage.ts';
import type { DomainReport, DomainState, NicSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import type { HostDrivers } from '../drivers/drivers.ts';
import type { LeasePlace, LivenessDriver, LivenessEvent } from '../drivers/liveness.ts';
import type { GuestDriver } from '../drivers/guest.ts';
import type { DomainEvent, DomainSpec, FunctionEvent, HypervisorDriver, MigrationCall } from '../drivers/hypervisor.ts';
import type { FunctionState, NetworkDriver, Port } from '../drivers/network.ts';
import type { ImageImport, LongCall, StorageDriver } from '../drivers/storage.ts';

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
  /** Answers consoles and pictures. */
  console: () => Duplex = echo;
  picture: Buffer = Buffer.from('picture');
  readonly #listeners = new Set<(event: DomainEvent) => void>();
  readonly #functionListeners = new Set<(event: FunctionEvent) => void>();

  async open(): Promise<void> {}
  async close(): Promise<void> {}

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

export class FakeNetwork implements NetworkDriver {
  readonly ports = new Map<string, Port>();
  /** Of NICs that have one. */
  readonly functions = new Map<string, FunctionState>();
  applied: { generation: number; slice: NetworkSlice; before: NetworkSlice | null } | null = null;
  /** What `apply` says was cut. */
  cuts: readonly PortCuts[] = [];
  /** Awaited by `apply`, after it has done its work. */
  gate: Promise<void> = Promise.resolve();
  gatewaysEnded = false;

  async apply(generation: number, slice: NetworkSlice, before: NetworkSlice | null = null) {
    this.applied = { generation, slice, before };
    await this.gate;
    return this.cuts;
  }

  async endGateways(): Promise<void> {
    this.gatewaysEnded = true;
  }

  async attachPort(vmId: string, nic: Pick<NicSpec, 'nicId' | 'networkId' | 'direct'>, state?: FunctionState) {
    this.ports.set(nic.nicId, { nicId: nic.nicId, vmId, networkId: nic.networkId });
    const port = { device: `tap-${nic.nicId.slice(0, 8)}`, offload: true };
    if (nic.direct !== true) return port;
    this.functions.set(nic.nicId, state ?? this.functions.get(nic.nicId) ?? 'carries');
    return { ...port, virtualFunction: { pciAddress: '0000:03:10.0' } };
  }

  async setFunction(nicId: string, state: FunctionState): Promise<void> {
    if (this.functions.has(nicId)) this.functions.set(nicId, state);
  }

  async detachPort(nicId: string): Promise<void> {
    this.ports.delete(nicId);
    this.functions.delete(nicId);
  }

  async listPorts(): Promise<Port[]> {
    return [...this.ports.values()];
  }

  async counters() {
    return [];
  }

  async trace() {
    const droppedBy = 'nothing flows here';
    return { hops: [], verdict: 'dropped' as const, to: null, droppedBy, packet: null };
  }

  async report() {
    return { tunnelAddress: null, nics: [], uplinks: [] };
  }

  async versions() {
    return { openvswitch: '0.0' };
  }
}

export class FakeStorage implements StorageDriver {
  pools: readonly { readonly poolId: string; readonly initialize: boolean }[] = [];
  readonly volumes = new Set<string>();
  readonly seeds = new Set<string>();
  readonly images = new Map<string, Buffer>();
  imports = 0;
  reachable = true;

  async applyPools(pools: readonly { readonly poolId: string; readonly initialize: boolean }[]): Promise<PoolReport[]> {
    this.pools = pools;
    return this.report();
  }

  async report(): Promise<PoolReport[]> {
    const { reachable } = this;
    const reason = reachable ? null : 'not mounted';
    return this.pools.map(({ poolId }) => ({ poolId, reachable, reason, totalMib: 1000, freeMib: 500 }));
  }

  async importImage({ imageId, source }: ImageImport, _call: LongCall): Promise<ImageInfo> {
    this.imports += 1;
    const content = 'content' in source ? await buffer(source.content) : Buffer.from(source.file);
    this.images.set(imageId, content);
    const size = content.byteLength;
    return { format: 'raw', virtualSizeBytes: size, sizeBytes: size, sha256: 'ab'.repeat(32) };
  }

  async deleteImage({ imageId }: { readonly imageId: string }): Promise<void> {
    this.images.delete(imageId);
  }

  async openImage({ imageId }: { readonly imageId: string }) {
    const content = this.images.get(imageId);
    if (content === undefined) throw new KvasirError('not-found', { kind: 'image', id: imageId });
    return { content: Readable.from([content]), sizeBytes: content.byteLength };
  }

  async createVolume({ volumeId, sizeBytes }: VolumeRef & { readonly sizeBytes: number }) {
    this.volumes.add(volumeId);
    return { sizeBytes };
  }

  async resizeVolume(_volume: VolumeRef, sizeBytes: number) {
    return { sizeBytes };
  }

  async deleteVolume({ volumeId }: VolumeRef): Promise<void> {
    this.volumes.delete(volumeId);
  }

  async list() {
    return { volumeIds: [...this.volumes], imageIds: [...this.images.keys()] };
  }

  async locate({ volumeId, format }: VolumeRef) {
    if (!this.volumes.has(volumeId)) throw new KvasirError('not-found', { kind: 'volume', id: volumeId });
    return { kind: 'file' as const, path: `/volumes/${volumeId}`, format };
  }

  async writeSeed(vmId: string) {
    this.seeds.add(vmId);
    return { kind: 'file' as const, path: `/seeds/${vmId}`, format: 'raw' as const };
  }

  async removeSeed(vmId: string): Promise<void> {
    this.seeds.delete(vmId);
  }
}

export class FakeGuest implements GuestDriver {
  async ping(): Promise<boolean> {
    return true;
  }

  async info() {
    return { agent: true, hostname: 'guest', os: null, addresses: ['10.0.0.2'] };
  }

  async exec() {
    return { exitCode: 0, stdout: 'out', stderr: '' };
  }

  async freeze() {
    return { fileSystems: 1 };
  }

  async thaw() {
    return { fileSystems: 1 };
  }
}

export class FakeLiveness implements LivenessDriver {
  plan: LivenessPlan | null = null;
  places: readonly LeasePlace[] = [];
  current: Liveness | null = null;
  readonly lost = new Set<string>();
  readonly ended = new Set<string>();
  readonly #listeners = new Set<(event: LivenessEvent) => void>();

  async open(): Promise<void> {}
  async close(): Promise<void> {}

  /** The lease of a pool is lost, and back at once. */
  blink(poolId: string): void {
    for (const listener of this.#listeners) {
      listener({ kind: 'storage-lost', poolId, vmIds: [] });
      listener({ kind: 'storage-back', poolId });
    }
  }

  async apply(plan: LivenessPlan, places: readonly LeasePlace[]): Promise<void> {
    this.plan = plan;
    this.places = places;
  }

  async serve(places: readonly LeasePlace[]): Promise<void> {
    this.places = places;
  }

  report(): Liveness | null {
    return this.current;
  }

  leaseOf(poolId: string): 'held' | 'lost' | 'none' {
    return this.lost.has(poolId) ? 'lost' : 'none';
  }

  endedBecause(vmId: string): string | null {
    return this.ended.has(vmId) ? 'storage lost' : null;
  }

  forget(vmId: string): void {
    this.ended.delete(vmId);
  }

  watch(listener: (event: LivenessEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
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
