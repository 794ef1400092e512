/** HypervisorDriver on a simulated host. Holds nothing but its listeners: everything else is the host's. */
import type { Duplex } from 'node:stream';
import type { DomainReport, DomainState, MigrationOutcome, VmSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type {
  DomainDisk,
  DomainEvent,
  DomainNic,
  DomainSpec,
  HypervisorDriver,
  HypervisorFacts,
  MigrationCall,
  MigrationSend,
} from '../hypervisor.ts';
import { onePixel, serialConsole, vncConsole } from './consoles.ts';
import { activeDomainOn, domainOn, requireDisks, specOf, wrongState } from './domain-checks.ts';
import { SimDomain } from './domain.ts';
import type { SimHost } from './host.ts';
import { connectUriOf, MigrationJob, type MigrationResult } from './migration.ts';
import { pressPowerButton } from './power-button.ts';
import { withDisk, withNic, withoutDisk, withoutNic } from './spec-devices.ts';

type Method = keyof HypervisorDriver;

export class SimHypervisorDriver implements HypervisorDriver {
  readonly #host: SimHost;
  readonly #unlisten = new Set<() => void>();

  constructor(host: SimHost) {
    this.#host = host;
  }

  open(): Promise<void> {
    return this.#perform('open', () => undefined);
  }

  close(): Promise<void> {
    for (const stop of this.#unlisten) stop();
    this.#unlisten.clear();
    return Promise.resolve();
  }

  answers(): Promise<void> {
    return this.#perform('answers', () => undefined);
  }

  facts(): Promise<HypervisorFacts> {
    const { cpus, cpuModel, usableCpuModels, memoryMib } = this.#host;
    return this.#perform('facts', () => ({
      virtualization: 'simulated',
      virtualizationReason: 'this host is simulated',
      cpus,
      cpuModel,
      usableCpuModels,
      memoryMib,
      versions: { simulator: '1' },
    }));
  }

  list(): Promise<DomainReport[]> {
    return this.#perform('list', () => [...this.#host.domains.values()].map((domain) => domain.report(this.#host)));
  }

  watch(listener: (event: DomainEvent) => void): () => void {
    const stop = this.#host.listen(listener);
    this.#unlisten.add(stop);
    return () => {
      stop();
      this.#unlisten.delete(stop);
    };
  }

  /** No device here can be divided. */
  watchFunctions(): () => void {
    return () => undefined;
  }

  define(spec: DomainSpec): Promise<DomainState> {
    return this.#perform('define', () => {
      const { vmId, name } = spec.vm;
      const domain = this.#host.domains.get(vmId) ?? new SimDomain(vmId, name, spec);
      if (domain.incoming) throw wrongState('define', domain);
      domain.spec = spec;
      domain.drift = [];
      this.#host.domains.set(vmId, domain);
      this.#host.tell(domain, false, 'defined');
      return domain.state;
    });
  }

  start(vmId: string, options: { readonly paused: boolean }): Promise<DomainState> {
    return this.#perform('start', () => {
      const domain = domainOn(this.#host, vmId);
      if (domain.incoming) throw wrongState('start', domain);
      if (domain.isActive) return domain.state;
      requireDisks(this.#host, domain);
      this.#host.requireRoom(domain.spec);
      this.#host.change(
        domain,
        options.paused ? 'paused' : 'running',
        domain.state === 'suspended' ? 'restored' : 'booted',
      );
      return domain.state;
    });
  }

  stop(vmId: string, timeoutMs: number, signal: AbortSignal): Promise<DomainState> {
    return this.#perform(
      'stop',
      async () => {
        const domain = domainOn(this.#host, vmId);
        if (domain.incoming) throw wrongState('stop', domain);
        if (!domain.isActive) {
          if (domain.state === 'crashed') this.#host.change(domain, 'stopped', 'destroyed');
          return domain.state;
        }
        const obeyed = domain.state === 'running' && (await pressPowerButton(this.#host, timeoutMs, signal));
        this.#host.requirePower();
        if (domain.isActive) this.#host.change(domain, 'stopped', obeyed ? 'shutdown' : 'destroyed');
        return domain.state;
      },
      signal,
    );
  }

  reset(vmId: string): Promise<DomainState> {
    return this.#perform('reset', () => {
      const domain = activeDomainOn(this.#host, vmId, 'reset');
      domain.startedAtMs = this.#host.world.clock.now();
      this.#host.tell(domain, false, 'reset');
      return domain.state;
    });
  }

  pause(vmId: string): Promise<DomainState> {
    return this.#perform('pause', () => this.#switch(activeDomainOn(this.#host, vmId, 'pause'), 'paused'));
  }

  resume(vmId: string): Promise<DomainState> {
    return this.#perform('resume', () => this.#switch(activeDomainOn(this.#host, vmId, 'resume'), 'running'));
  }

  suspend(vmId: string): Promise<DomainState> {
    return this.#perform('suspend', () => {
      const domain = domainOn(this.#host, vmId);
      if (domain.state === 'suspended') return domain.state;
      return this.#switch(activeDomainOn(this.#host, vmId, 'suspend'), 'suspended');
    });
  }

  undefine(vmId: string): Promise<void> {
    return this.#perform('undefine', () => {
      const domain = this.#host.domains.get(vmId);
      if (domain === undefined) return;
      if (domain.isActive) throw wrongState('remove', domain);
      this.#host.remove(domain, 'undefined');
    });
  }

  /** Within its maxima a running guest takes more; anything else waits for the next start. */
  resize(
    vmId: string,
    size: Pick<VmSpec, 'cpus' | 'maxCpus' | 'memoryMib' | 'maxMemoryMib'>,
  ): Promise<{ live: boolean }> {
    return this.#perform('resize', () => {
      const domain = domainOn(this.#host, vmId);
      const now = specOf(domain).vm;
      const sameLimits = size.maxCpus === now.maxCpus && size.maxMemoryMib === now.maxMemoryMib;
      const keeps = size.memoryMib >= now.memoryMib && size.cpus >= now.cpus;
      const grows = keeps && size.memoryMib <= now.maxMemoryMib && size.cpus <= now.maxCpus;
      this.#edit(domain, (spec) => ({ ...spec, vm: { ...spec.vm, ...size } }));
      return { live: !domain.isActive || (sameLimits && grows) };
    });
  }

  attachDisk(vmId: string, disk: DomainDisk): Promise<void> {
    return this.#perform('attachDisk', () => {
      this.#edit(domainOn(this.#host, vmId), (spec) => withDisk(spec, disk));
    });
  }

  detachDisk(vmId: string, volumeId: string, signal: AbortSignal): Promise<void> {
    const edit = (): void => this.#edit(domainOn(this.#host, vmId), (spec) => withoutDisk(spec, volumeId));
    return this.#perform('detachDisk', edit, signal);
  }

  resizeDisk(vmId: string, volumeId: string, sizeBytes: number): Promise<void> {
    return this.#perform('resizeDisk', () => {
      const disk = specOf(activeDomainOn(this.#host, vmId, 'grow a disk of')).disks.find(
        (one) => one.spec.volumeId === volumeId,
      );
      if (disk === undefined) throw new KvasirError('not-found', { kind: 'disk', id: volumeId });
      const volume = this.#host.volumeAt(disk.source.path);
      if (volume !== undefined) volume.sizeBytes = sizeBytes;
    });
  }

  attachNic(vmId: string, nic: DomainNic): Promise<void> {
    return this.#perform('attachNic', () => {
      this.#edit(domainOn(this.#host, vmId), (spec) => withNic(spec, nic));
    });
  }

  detachNic(vmId: string, nicId: string, signal: AbortSignal): Promise<void> {
    const edit = (): void => this.#edit(domainOn(this.#host, vmId), (spec) => withoutNic(spec, nicId));
    return this.#perform('detachNic', edit, signal);
  }

  screenshot(vmId: string): Promise<Buffer> {
    return this.#perform('screenshot', () => {
      activeDomainOn(this.#host, vmId, 'take a picture of');
      return onePixel;
    });
  }

  openConsole(vmId: string, kind: 'serial' | 'vnc'): Promise<Duplex> {
    return this.#perform('openConsole', () => {
      const domain = activeDomainOn(this.#host, vmId, 'open the console of');
      return kind === 'serial' ? serialConsole(domain.spec?.vm.name ?? domain.name) : vncConsole();
    });
  }

  migrationTarget(): { readonly connectUri: string; readonly migrationHost: string } {
    return { connectUri: connectUriOf(this.#host.hostId), migrationHost: this.#host.hostId };
  }

  prepareIncoming(domain: DomainSpec): Promise<void> {
    return this.#perform('prepareIncoming', () => {
      const there = this.#host.domains.get(domain.vm.vmId);
      if (there?.isActive !== true) this.#host.requireRoom(domain);
    });
  }

  sendMigration(request: MigrationSend, call: MigrationCall): Promise<MigrationResult> {
    return this.#perform(
      'sendMigration',
      (fault) => {
        if (!this.#host.domains.has(request.vmId)) return { downtimeMs: null, bytesTotal: null };
        if (call.signal.aborted) throw new KvasirError('cancelled');
        const job = this.#host.migrations.get(request.vmId) ?? new MigrationJob(this.#host, request, fault);
        return job.join(call);
      },
      call.signal,
    );
  }

  cancelMigration(vmId: string): Promise<MigrationOutcome> {
    return this.#perform('cancelMigration', async () => {
      await this.#host.migrations.get(vmId)?.cancel();
      this.#host.requirePower();
      const domain = this.#host.domains.get(vmId);
      if (domain?.incoming === true) throw wrongState('cancel the migration of', domain);
      return domain === undefined ? 'left' : 'stayed';
    });
  }

  abandonIncoming(vmId: string): Promise<boolean> {
    return this.#perform('abandonIncoming', () => {
      const domain = this.#host.domains.get(vmId);
      if (domain === undefined) return false;
      if (!domain.incoming) return true;
      this.#host.remove(domain, 'abandoned');
      return false;
    });
  }

  #perform<T>(
    method: Method,
    effect: (fault: Parameters<Parameters<SimHost['faults']['perform']>[1]>[0]) => T | Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    return this.#host.faults.perform(
      `hypervisor.${method}`,
      (fault) =>
        this.#host.stall.through(() => {
          this.#host.requirePower();
          return effect(fault);
        }),
      signal,
    );
  }

  #edit(domain: SimDomain, change: (spec: DomainSpec) => DomainSpec): void {
    domain.spec = change(specOf(domain));
    this.#host.tell(domain, false, 'changed');
  }

  #switch(domain: SimDomain, state: DomainState): DomainState {
    if (domain.state !== state) this.#host.change(domain, state, state === 'suspended' ? 'saved' : 'user');
    return domain.state;
  }
}
