/** What this host has, and the pools and networks it serves. */
import { hostInventory, type Inventory, poolApply, poolReport } from '@kvasir/api/agent/host.ts';
import { networkApply, networkTrace, portCounters } from '@kvasir/api/agent/network.ts';
import { SliceDocuments } from '../slice-documents.ts';
import { handler, type Handler, type HostContext } from './handler.ts';

export async function readInventory(host: HostContext): Promise<Inventory> {
  const facts = await host.drivers.hypervisor.facts();
  return {
    hostname: host.hostname,
    address: host.identity.address,
    virtualization: facts.virtualization,
    virtualizationReason: facts.virtualizationReason,
    cpus: facts.cpus,
    cpuModel: facts.cpuModel,
    usableCpuModels: [...facts.usableCpuModels],
    memoryMib: facts.memoryMib,
    versions: { ...host.versions, ...facts.versions, ...(await host.drivers.network.versions()) },
    ...(await host.drivers.network.report()),
  };
}

export function hostHandlers(host: HostContext): Handler[] {
  const { storage, network } = host.drivers;
  const documents = new SliceDocuments();
  return [
    handler(hostInventory, () => readInventory(host)),
    handler(poolApply, ({ pools }) =>
      host.locks.run('pools', async () => {
        const reports = await storage.applyPools(pools);
        await host.served.set({
          pools: pools.map(({ poolId, name, kind, path, shared }) => ({ poolId, name, kind, path, shared })),
        });
        return { pools: reports };
      }),
    ),
    handler(poolReport, async () => ({ pools: await storage.report() })),
    handler(networkApply, ({ generation, outline, documents: sent }) =>
      host.locks.run('networks', async () => {
        const read = documents.read(host.identity.hostId, outline, sent);
        if ('missing' in read) return { generation, missing: read.missing };
        await network.apply(generation, read.slice);
        await host.served.set({ networks: { generation, slice: read.slice } });
        return { generation, missing: [] };
      }),
    ),
    handler(portCounters, async ({ nicIds }) => ({ ports: await network.counters(nicIds) })),
    handler(networkTrace, (params) => network.trace(params)),
  ];
}
