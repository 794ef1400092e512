/** The hypervisor as the agent sees it: domains by VM id. Implementations: `libvirt/`, `sim/`; one contract suite runs on both. */
import type { Duplex } from 'node:stream';
import type { DiskSpec, DomainReport, DomainState, MigrationOutcome, NicSpec, VmSpec } from '@kvasir/api/agent/vm.ts';
import type { FunctionState, PortDevice } from './network.ts';
import type { DiskSource } from './storage.ts';

export interface DomainDisk {
  readonly spec: DiskSpec;
  readonly source: DiskSource;
}
/** A NIC and what the network driver made for it. */
export interface DomainNic extends PortDevice {
  readonly spec: NicSpec;
}

/** A VM with everything resolved to what this host has. */
export interface DomainSpec {
  readonly vm: VmSpec;
  readonly disks: readonly DomainDisk[];
  readonly nics: readonly DomainNic[];
  readonly seed: DiskSource | null;
}

export interface HypervisorFacts {
  readonly virtualization: 'kvm' | 'emulation' | 'simulated';
  readonly virtualizationReason: string | null;
  readonly cpus: number;
  readonly cpuModel: string;
  readonly usableCpuModels: readonly string[];
  readonly memoryMib: number;
  readonly versions: Readonly<Record<string, string>>;
}

export interface DomainEvent {
  readonly domain: DomainReport;
  readonly removed: boolean;
  readonly because: string | null;
}

/**
 * In a live migration: the guest has let go of its functions here and goes on by the standby NICs (`rests`), or is just about to get
 * them, here or back here (`carries`).
 */
export interface FunctionEvent {
  readonly vmId: string;
  /** null: all of the VM. */
  readonly nicId: string | null;
  readonly state: FunctionState;
}

export interface MigrationSend {
  readonly vmId: string;
  readonly connectUri: string;
  readonly migrationHost: string;
  /** Volumes whose content is copied along (the destination has empty ones of the same size). */
  readonly copyVolumeIds: readonly string[];
  readonly autoConverge: boolean;
  readonly maxDowntimeMs: number | null;
  readonly bandwidthMibps: number | null;
  /** What carries NICs at the destination, for those that a virtual function carries here. */
  readonly functions?: readonly HandedFunction[] | undefined;
}

export interface HandedFunction {
  readonly nicId: string;
  readonly pciAddress: string;
}

export interface MigrationProgress {
  readonly percent: number;
  readonly bytesDone: number | null;
  readonly bytesTotal: number | null;
  readonly downtimeMs: number | null;
}
export interface MigrationCall {
  readonly signal: AbortSignal;
  readonly progress: (report: MigrationProgress) => void;
}

/**
 * Every method is 'make it so': repeated after success it succeeds. Errors are `KvasirError`s: `not-found` for a domain that
 * is not here, `wrong-state`, `unsupported`, `host-failed` with the hypervisor's own words, `cancelled` after `signal`.
 */
export interface HypervisorDriver {
  /** Connects; resolves when the hypervisor answers. Reconnects by itself afterwards and then reports every domain anew. */
  open(): Promise<void>;
  close(): Promise<void>;
  /** Resolves when it answers for all its domains: none of them is held up by a call that hangs. */
  answers(): Promise<void>;
  facts(): Promise<HypervisorFacts>;
  list(): Promise<DomainReport[]>;
  /** Called for each change within a second, also for domains that somebody else changes. Answers how to stop watching. */
  watch(listener: (event: DomainEvent) => void): () => void;
  /** Called at the moment itself, for VMs with functions and others; what happens while the agent is away is not told later. */
  watchFunctions(listener: (event: FunctionEvent) => void): () => void;

  define(domain: DomainSpec): Promise<DomainState>;
  start(vmId: string, options: { readonly paused: boolean }): Promise<DomainState>;
  /** ACPI and guest agent first, power off after `timeoutMs` (0: at once) or when `signal` fires with reason 'force'. */
  stop(vmId: string, timeoutMs: number, signal: AbortSignal): Promise<DomainState>;
  reset(vmId: string): Promise<DomainState>;
  pause(vmId: string): Promise<DomainState>;
  resume(vmId: string): Promise<DomainState>;
  suspend(vmId: string): Promise<DomainState>;
  undefine(vmId: string): Promise<void>;
  resize(
    vmId: string,
    size: Pick<VmSpec, 'cpus' | 'maxCpus' | 'memoryMib' | 'maxMemoryMib'>,
  ): Promise<{ live: boolean }>;
  attachDisk(vmId: string, disk: DomainDisk): Promise<void>;
  detachDisk(vmId: string, volumeId: string, signal: AbortSignal): Promise<void>;
  resizeDisk(vmId: string, volumeId: string, sizeBytes: number): Promise<void>;
  attachNic(vmId: string, nic: DomainNic): Promise<void>;
  detachNic(vmId: string, nicId: string, signal: AbortSignal): Promise<void>;
  /** PNG bytes. */
  screenshot(vmId: string): Promise<Buffer>;
  openConsole(vmId: string, kind: 'serial' | 'vnc'): Promise<Duplex>;

  /** Where a source connects to in order to send a domain here. */
  migrationTarget(): { readonly connectUri: string; readonly migrationHost: string };
  /** Gets the hypervisor's own part of a destination ready (nothing, for most). */
  prepareIncoming(domain: DomainSpec): Promise<void>;
  sendMigration(
    request: MigrationSend,
    call: MigrationCall,
  ): Promise<{ downtimeMs: number | null; bytesTotal: number | null }>;
  /**
   * Ends a job that sends the domain away, whoever began it, and waits for its end; does not wait for the call that began it.
   * Answers where the domain is. @throws KvasirError `timeout` when that could not be told in time
   */
  cancelMigration(vmId: string): Promise<MigrationOutcome>;
  /** True when the domain runs here for good; false when nothing (or only a broken incoming one, which is cleared) was here. */
  abandonIncoming(vmId: string): Promise<boolean>;
}
