/** HypervisorDriver over libvirt: puts the parts of this folder together. */
import type { Duplex } from 'node:stream';
import type { DomainReport, DomainState, MigrationOutcome } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type {
  DomainDisk,
  DomainEvent,
  DomainNic,
  DomainSpec,
  FunctionEvent,
  HypervisorDriver,
  HypervisorFacts,
  MigrationCall,
  MigrationSend,
} from '../hypervisor.ts';
import { openConsole, screenshot } from './consoles.ts';
import { Devices } from './devices.ts';
import { readFacts } from './facts.ts';
import { FunctionWatch, watchedMonitorEvents } from './function-watch.ts';
import { LibvirtGuest } from './guest.ts';
import { type Trial, tryKvm } from './kvm-trial.ts';
import { Lifecycle } from './lifecycle.ts';
import { abandonIncoming, cancelMigration, sendMigration } from './migration.ts';
import { Reports } from './reports.ts';

export interface LibvirtDriverOptions {
  readonly socketPath: string;
  /** This host's address for incoming migrations. */
  readonly address: string;
  /** How a source's daemon reaches this one: `tcp` only on a network of its own, `tls` otherwise. */
  readonly migrationTransport: 'tcp' | 'tls';
  /** `auto`: KVM when a trial shows that it works. */
  readonly virtualization?: 'auto' | 'kvm' | 'emulation';
  /** Kernel for that trial; default: the newest in /boot. */
  readonly kvmTrialKernel?: string;
  readonly emulator?: string;
  /** Where libvirt puts QEMU's pid files. */
  readonly pidDirectory?: string;
}

const connectTimeoutMs = 30_000;
/** For a list that libvirt has in its memory. */
const listTimeoutMs = 10_000;

export class LibvirtDriver implements HypervisorDriver {
  readonly guest: LibvirtGuest;
  readonly #options: LibvirtDriverOptions;
  readonly #emulator: string;
  readonly #client: LibvirtClient;
  readonly #lifecycle: Lifecycle;
  readonly #devices: Devices;
  readonly #reports: Reports;
  readonly #functions: FunctionWatch;
  #kvm: Trial = { works: false, reason: 'not tried yet' };

  constructor(options: LibvirtDriverOptions) {
    this.#options = options;
    this.#emulator = options.emulator ?? '/usr/bin/qemu-system-x86_64';
    this.#client = new LibvirtClient({ socketPath: options.socketPath, monitorEvents: watchedMonitorEvents });
    this.guest = new LibvirtGuest(this.#client);
    this.#lifecycle = new Lifecycle(this.#client, () => ({
      virtualization: this.#virtualization(),
      emulator: this.#emulator,
    }));
    this.#devices = new Devices(this.#client, () => this.#virtualization());
    this.#reports = new Reports(this.#client, this.guest, options.pidDirectory ?? '/run/libvirt/qemu');
    this.#functions = new FunctionWatch(this.#client);
  }

  /** May be called again after it failed. */
  async open(): Promise<void> {
    await this.#client.connect(connectTimeoutMs);
    await this.#startFunctions();
    // Last, for it takes its time, and is not to be done again when libvirt has to be waited for.
    this.#kvm = await this.#tryKvm();
    this.#reports.start();
  }

  async close(): Promise<void> {
    this.#reports.stop();
    this.#functions.stop();
    await this.#client.close();
  }

  async answers(): Promise<void> {
    await this.#client.host.listDomains();
  }

  async facts(): Promise<HypervisorFacts> {
    return readFacts(this.#client, this.#emulator, this.#kvm);
  }

  async list(): Promise<DomainReport[]> {
    return this.#reports.list();
  }

  watch(listener: (event: DomainEvent) => void): () => void {
    return this.#reports.watch(listener);
  }

  watchFunctions(listener: (event: FunctionEvent) => void): () => void {
    return this.#functions.watch(listener);
  }

  async define(domain: DomainSpec): Promise<DomainState> {
    return this.#lifecycle.define(domain);
  }
  async start(vmId: string, options: { readonly paused: boolean }): Promise<DomainState> {
    return this.#lifecycle.start(vmId, options);
  }
  async stop(vmId: string, timeoutMs: number, signal: AbortSignal): Promise<DomainState> {
    return this.#lifecycle.stop(vmId, timeoutMs, signal);
  }
  async reset(vmId: string): Promise<DomainState> {
    return this.#lifecycle.reset(vmId);
  }
  async pause(vmId: string): Promise<DomainState> {
    return this.#lifecycle.pause(vmId);
  }
  async resume(vmId: string): Promise<DomainState> {
    return this.#lifecycle.resume(vmId);
  }
  async suspend(vmId: string): Promise<DomainState> {
    return this.#lifecycle.suspend(vmId);
  }
  async undefine(vmId: string): Promise<void> {
    await this.#lifecycle.undefine(vmId);
  }

  async resize(vmId: string, size: Parameters<HypervisorDriver['resize']>[1]): Promise<{ live: boolean }> {
    return this.#devices.resize(vmId, size);
  }
  async attachDisk(vmId: string, disk: DomainDisk): Promise<void> {
    await this.#devices.attachDisk(vmId, disk);
  }
  async detachDisk(vmId: string, volumeId: string, signal: AbortSignal): Promise<void> {
    await this.#devices.detachDisk(vmId, volumeId, signal);
  }
  async resizeDisk(vmId: string, volumeId: string, sizeBytes: number): Promise<void> {
    await this.#devices.resizeDisk(vmId, volumeId, sizeBytes);
  }
  async attachNic(vmId: string, nic: DomainNic): Promise<void> {
    await this.#devices.attachNic(vmId, nic);
  }
  async detachNic(vmId: string, nicId: string, signal: AbortSignal): Promise<void> {
    await this.#devices.detachNic(vmId, nicId, signal);
  }

  async screenshot(vmId: string): Promise<Buffer> {
    return screenshot(this.#client, vmId);
  }
  async openConsole(vmId: string, kind: 'serial' | 'vnc'): Promise<Duplex> {
    return openConsole(this.#client, vmId, kind);
  }

  migrationTarget(): { readonly connectUri: string; readonly migrationHost: string } {
    const { address, migrationTransport } = this.#options;
    return { connectUri: `qemu+${migrationTransport}://${address}/system`, migrationHost: address };
  }
  async prepareIncoming(_domain: DomainSpec): Promise<void> {
    // libvirt makes the incoming domain by itself from what the source sends.
  }
  async sendMigration(
    request: MigrationSend,
    call: MigrationCall,
  ): Promise<{ downtimeMs: number | null; bytesTotal: number | null }> {
    return sendMigration(this.#client, request, call);
  }
  async cancelMigration(vmId: string): Promise<MigrationOutcome> {
    return cancelMigration(this.#client, vmId);
  }
  async abandonIncoming(vmId: string): Promise<boolean> {
    return abandonIncoming(this.#client, vmId);
  }

  /** A daemon that hangs takes connections all the same. @throws KvasirError timeout */
  async #startFunctions(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const what = 'The list of libvirt’s domains';
    const error = new KvasirError('timeout', { what, timeoutMs: listTimeoutMs });
    const timer = setTimeout(() => late.reject(error), listTimeoutMs);
    try {
      await Promise.race([this.#functions.start(), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #virtualization(): 'kvm' | 'emulation' {
    return this.#kvm.works ? 'kvm' : 'emulation';
  }

  async #tryKvm(): Promise<Trial> {
    switch (this.#options.virtualization ?? 'auto') {
      case 'kvm':
        return { works: true, reason: null };
      case 'emulation':
        return { works: false, reason: 'set so in the configuration' };
      case 'auto':
        return tryKvm(this.#emulator, this.#options.kvmTrialKernel);
    }
  }
}
