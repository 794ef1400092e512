import { hypervisorContract } from './hypervisor.contract.ts';
import type { ContractHost } from './hypervisor-bed.contract.ts';
import { flatSlice } from './flat-slice.ts';
import { simDrivers } from './sim/drivers.ts';
import type { SimHost } from './sim/host.ts';
import { simBed, simDisk, simDomain, simNic } from './sim/testing.ts';

hypervisorContract('simulated host', async () => {
  const bed = await simBed(2);
  const [first, second] = bed.hosts as [SimHost, SimHost];
  for (const host of bed.hosts) host.migrationMsPerGib = 100;
  const [drivers] = bed.drivers;
  return {
    first: await contractHost(first),
    second: await contractHost(second),
    domain: () => simDomain(bed, drivers!),
    disk: () => simDisk(bed, drivers!, 'vdb'),
    nic: (vmId) => simNic(bed, drivers!, vmId),
    bootTimeoutMs: 1000,
    close: () => Promise.resolve(),
  };

  async function contractHost(host: SimHost): Promise<ContractHost> {
    const { hypervisor, guest, network } = simDrivers(host);
    await network.apply(1, flatSlice(bed.networkId));
    await hypervisor.open();
    return {
      hypervisor,
      guest,
      restart: async () => {
        await hypervisor.close();
        return contractHost(host);
      },
      prepare: async (domain) => {
        for (const nic of domain.nics) await network.attachPort(domain.vm.vmId, nic.spec);
      },
    };
  }
});
