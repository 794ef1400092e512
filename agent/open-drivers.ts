/** Chooses and builds the drivers of a host. Only here and in the other files directly in `agent/` a driver is chosen. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@kvasir/api/clock.ts';
import type { AgentConfig } from './config.ts';
import type { HostDrivers } from './drivers/drivers.ts';
import { KeeperDriver } from './drivers/keeper/driver.ts';
import { LibvirtDriver } from './drivers/libvirt/driver.ts';
import { OvsNetworkDriver } from './drivers/ovs/driver.ts';
import { simDrivers } from './drivers/sim/drivers.ts';
import { SimWorld } from './drivers/sim/world.ts';
import { DirectoryStorageDriver } from './drivers/volumes/driver.ts';
import { makePassable } from './drivers/volumes/passable.ts';
import type { HostIdentity } from './handlers/handler.ts';
import type { VmMetadataStore } from './journal/vm-metadata.ts';
import { stderrLog } from './log.ts';

export async function openDrivers(
  config: AgentConfig,
  host: HostIdentity,
  directory: string,
  metadata: VmMetadataStore,
): Promise<HostDrivers> {
  if (config.driver === 'sim') {
    const world = new SimWorld({ clock: systemClock, random: Math.random });
    return simDrivers(world.addHost({ hostId: host.hostId }));
  }
  // The seeds are below it.
  await makePassable(directory);
  const stateDirectory = join(directory, 'storage');
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
  const hypervisor = new LibvirtDriver({
    socketPath: config.libvirtSocket,
    address: config.migrationAddress ?? host.address,
    migrationTransport: config.migrationTransport,
    virtualization: config.virtualization,
    ...(config.kvmTrialKernel === undefined ? {} : { kvmTrialKernel: config.kvmTrialKernel }),
  });
  return {
    hypervisor,
    guest: hypervisor.guest,
    network: new OvsNetworkDriver({
      socketPath: config.ovsdbSocket,
      bridge: config.integrationBridge,
      datapathType: config.datapathType,
      ...(config.uplinkBridge === undefined ? {} : { uplinkBridge: config.uplinkBridge }),
      ...(config.tunnelAddress === undefined ? {} : { tunnelAddress: config.tunnelAddress }),
      ...(config.connectionsPerPort === undefined ? {} : { connectionsPerPort: config.connectionsPerPort }),
      metadataOf: (vmId) => metadata.get(vmId),
      numbersFile: join(directory, 'switch-numbers.json'),
      cutsFile: join(directory, 'cut-sessions.json'),
      log: stderrLog,
    }),
    storage: new DirectoryStorageDriver({
      hostId: host.hostId,
      seedDirectory: join(directory, 'seeds'),
      stateDirectory,
    }),
    liveness: new KeeperDriver({
      hostId: host.hostId,
      address: host.address,
      directory,
      specsDirectory: join(directory, 'vms'),
      runDirectory: config.runDirectory,
      watchdogDevice: config.watchdogDevice ?? null,
      watchdogTimeoutMs: config.watchdogTimeoutMs ?? null,
      uplinks: config.uplinks,
      hypervisorSocket: config.libvirtSocket,
      log: stderrLog,
    }),
  };
}
