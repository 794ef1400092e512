import { randomUUID } from 'node:crypto';
import { livenessContract, type LivenessHost } from './liveness.contract.ts';
import { simDrivers } from './sim/drivers.ts';
import type { SimHost } from './sim/host.ts';
import { simBed, simDomain } from './sim/testing.ts';

livenessContract('simulated hosts', async () => {
  const bed = await simBed(2);
  const other = { poolId: randomUUID(), name: 'other', kind: 'directory' as const, path: '/other', shared: true };
  const shared = { poolId: bed.poolId, name: 'shared', kind: 'directory' as const, path: '/shared', shared: true };
  const host = (sim: SimHost): LivenessHost => {
    let drivers = simDrivers(sim);
    return {
      hostId: sim.hostId,
      places: [shared, other],
      get driver() {
        return drivers.liveness;
      },
      startVm: async (poolId) => {
        await drivers.storage.applyPools([shared, other].map((pool) => ({ ...pool, initialize: true })));
        const spec = await simDomain({ ...bed, poolId }, drivers, `vm-${randomUUID().slice(0, 8)}`).catch(() => null);
        // While the storage is cut nothing can be made there; a start that hung in it is what has to be ended.
        const vmId = spec?.vm.vmId ?? randomUUID();
        if (spec === null) return vmId;
        await drivers.hypervisor.define(spec);
        await drivers.hypervisor.start(vmId, { paused: false });
        return vmId;
      },
      isRunning: (vmId) => sim.domains.get(vmId)?.isActive === true,
      cutStorage: async () => sim.cutStorage('/shared'),
      healStorage: async () => sim.healStorage('/shared'),
      killKeeper: async () => sim.keeper.kill(),
      restartAgent: async () => {
        await drivers.liveness.close();
        drivers = simDrivers(sim);
        await drivers.liveness.open();
      },
    };
  };
  const [first, second] = bed.hosts as [SimHost, SimHost];
  return {
    hosts: [host(first), host(second)],
    poolId: bed.poolId,
    otherPoolId: other.poolId,
    terms: { renewEveryMs: 50, killAfterMs: 600, leaseMs: 1600 },
    close: async () => {
      for (const { keeper } of bed.hosts) keeper.powerLost();
    },
  };
});
