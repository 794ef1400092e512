/** What the services and the API need of the links to agents; `manager/hosts/` implements it, tests fake it. */
import type { Duplex } from 'node:stream';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { networkTrace, PortCounters, TraceResult } from '@kvasir/api/agent/network.ts';
import type { ConsoleKind } from './console-tickets.ts';

export interface HostLinks {
  isConnected(hostId: string): boolean;
  /** The bytes of a VM's console, both ways. @throws KvasirError host-unreachable, host-failed, unsupported */
  openConsole(hostId: string, vmId: string, kind: ConsoleKind): Promise<Duplex>;
  /** The screen as PNG. @throws KvasirError host-unreachable, host-failed, unsupported */
  screenshot(hostId: string, vmId: string): Promise<Buffer>;
  /** What the host counts at a port now. @throws KvasirError host-unreachable, not-found when it is not plugged in there */
  portCounters(hostId: string, portId: string): Promise<PortCounters>;
  /** What the host's flows would do to a packet. @throws KvasirError host-unreachable, host-failed, unsupported */
  traceNetwork(hostId: string, params: ParamsOf<typeof networkTrace>): Promise<TraceResult>;
  /** Pools or networks changed: push the whole lists to the hosts soon. Carries no data; losing one is harmless. */
  nudge(): void;
  /** A secret that one server joins with; carries the fingerprint of the CA and the address that agents dial. */
  createJoinToken(input: {
    readonly clusterId: string;
    readonly lifetimeMs: number;
    readonly userId: string | null;
  }): Promise<{
    readonly token: string;
    readonly expiresAtMs: number;
  }>;
  /** The host is gone from the inventory: close its link and refuse its certificate from now on. */
  forgetHost(hostId: string): Promise<void>;
}
