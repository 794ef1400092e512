/** What this host has, and the pools and networks it serves. */
import { hostInventory, type Inventory, poolApply, poolReport } from '@kvasir/api/agent/host.ts';
import { networkApply, networkTrace, portCounters } from '@kvasir/api/agent/network.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { SliceDocuments } from '../slice-documents.ts';
import { handler, type Handler, type HostContext } from './handler.ts';
import { serveLeases } from './liveness.ts';

export async function readInventory(host: HostContext): Promise<Inventory> {
  const { hypervisor, network } = host.drivers;
  const [facts, versions, report] = await Promise.all([hypervisor.facts(), network.versions(), network.report()]);
  return {
    hostname: host.hostname,
    address: host.identity.address,
    virtualization: facts.virtualization,
    virtualizationReason: facts.virtualizationReason,
    cpus: facts.cpus,
    cpuModel: facts.cpuModel,
    usableCpuModels: [...facts.usableCpuModels],
    memoryMib: facts.memoryMib,
    versions: { ...host.versions, ...facts.versions, ...versions },
    ...report,
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
        await serveLeases(host);
        return { pools: reports };
      }),
    ),
    handler(poolReport, async () => ({ pools: await storage.report() })),
    handler(networkApply, ({ generation, outline, documents: sent }) =>
      host.locks.run('networks', async () => {
        const read = documents.read(host.identity.hostId, outline, sent);
        if ('missing' in read) return { generation, missing: read.missing };
        const { slice } = read;
        const known = host.served.lists.networks;
        if (known !== null && generation < known.generation) {
          throw new KvasirError('wrong-state', {
            action: `apply generation ${generation} of`,
            kind: 'network list',
            name: 'host',
            state: `at generation ${known.generation}`,
          });
        }
        // What is wanted comes first, or an agent that ends in between goes back to an older one.
        const before = known?.before ?? known?.slice ?? null;
        const { bootId } = host;
        await host.served.set({ networks: { generation, bootId, slice, before } });
        const cuts = await network.apply(generation, slice, before);
        await host.served.set({ networks: { generation, bootId, slice, before: null } });
        return { generation, missing: [], ...(cuts.length > 0 ? { cuts: [...cuts] } : {}) };
      }),
    ),
    handler(portCounters, async ({ nicIds }) => ({ ports: await network.counters(nicIds) })),
    handler(networkTrace, (params) => network.trace(params)),
  ];
}
