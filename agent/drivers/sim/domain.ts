/** One simulated domain. Its transitions are made by `SimHost.change`, so that the world hears of them. */
import type { DomainReport, DomainState } from '@kvasir/api/agent/vm.ts';
import type { DomainSpec } from '../hypervisor.ts';
import type { SimHost } from './host.ts';

export class SimDomain {
  readonly vmId: string;
  readonly name: string;
  /** Null: not one of ours. */
  spec: DomainSpec | null;
  state: DomainState = 'stopped';
  reason: string | null = null;
  /** A migration brings it here; it runs elsewhere still. */
  incoming = false;
  startedAtMs: number | null = null;
  drift: string[] = [];

  constructor(vmId: string, name: string, spec: DomainSpec | null) {
    this.vmId = vmId;
    this.name = name;
    this.spec = spec;
  }

  /** Has a process that holds its disks. */
  get isActive(): boolean {
    return this.state === 'running' || this.state === 'paused';
  }

  enter(state: DomainState, reason: string | null, nowMs: number): void {
    const wasActive = this.isActive;
    this.state = state;
    this.reason = reason;
    if (!this.isActive) this.startedAtMs = null;
    else if (!wasActive) this.startedAtMs = nowMs;
  }

  report(host: SimHost): DomainReport {
    return {
      vmId: this.vmId,
      name: this.spec?.vm.name ?? this.name,
      managed: this.spec !== null,
      state: this.state,
      reason: this.incoming ? 'migrating in' : this.reason,
      incoming: this.incoming,
      startedAtMs: this.startedAtMs,
      guest: this.guestReport(host),
      drift: [...this.drift],
    };
  }

  /** Null while no guest agent answers. */
  guestReport(host: SimHost): DomainReport['guest'] {
    const { hasAgent, bootMs } = host.guests;
    if (!hasAgent || this.incoming || this.state !== 'running' || this.startedAtMs === null) return null;
    if (host.world.clock.now() < this.startedAtMs + bootMs) return null;
    const hostname = this.spec?.vm.cloudInit?.hostname ?? this.spec?.vm.name ?? this.name;
    const addresses = (this.spec?.nics ?? []).map(({ spec }) => addressOf(spec.macAddress));
    return { agent: true, hostname, os: 'Simulated', addresses };
  }
}

/** The same NIC gets the same address. */
function addressOf(macAddress: string): string {
  const bytes = macAddress.split(':').map((byte) => Number.parseInt(byte, 16));
  return `10.${bytes[3]}.${bytes[4]}.${bytes[5]}`;
}
