/** All drivers of one host. */
import type { GuestDriver } from './guest.ts';
import type { HypervisorDriver } from './hypervisor.ts';
import type { LivenessDriver } from './liveness.ts';
import type { NetworkDriver } from './network.ts';
import type { StorageDriver } from './storage.ts';

export interface HostDrivers {
  readonly hypervisor: HypervisorDriver;
  readonly network: NetworkDriver;
  readonly storage: StorageDriver;
  readonly guest: GuestDriver;
  readonly liveness: LivenessDriver;
}
