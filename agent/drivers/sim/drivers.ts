/** All drivers of a simulated host. Made anew on the same host they are what an agent finds after its restart. */
import type { HostDrivers } from '../drivers.ts';
import { SimGuestDriver } from './guest.ts';
import type { SimHost } from './host.ts';
import { SimHypervisorDriver } from './hypervisor.ts';
import { SimLivenessDriver } from './liveness.ts';
import { SimNetworkDriver } from './network.ts';
import { SimStorageDriver } from './storage.ts';

export function simDrivers(host: SimHost): HostDrivers {
  return {
    hypervisor: new SimHypervisorDriver(host),
    network: new SimNetworkDriver(host),
    storage: new SimStorageDriver(host),
    guest: new SimGuestDriver(host),
    liveness: new SimLivenessDriver(host),
  };
}
