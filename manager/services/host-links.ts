/** What the services and the API need of the links to agents; `manager/hosts/` implements it, tests fake it. */
import type { Duplex } from 'node:stream';
import type { ConsoleKind } from './console-tickets.ts';

export interface HostLinks {
  isConnected(hostId: string): boolean;
  /** The bytes of a VM's console, both ways. @throws KvasirError host-unreachable, host-failed, unsupported */
  openConsole(hostId: string, vmId: string, kind: ConsoleKind): Promise<Duplex>;
  /** The screen as PNG. @throws KvasirError host-unreachable, host-failed, unsupported */
  screenshot(hostId: string, vmId: string): Promise<Buffer>;
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
