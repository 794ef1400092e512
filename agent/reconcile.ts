/** What an agent puts in order when it starts: what it serves, ports of VMs that are not here any more, ports that VMs lack. */
import { withoutGateways } from './drivers/without-gateways.ts';
import type { HostContext } from './handlers/handler.ts';
import { replugPorts } from './handlers/vm-parts.ts';
import type { ServedNetworks } from './journal/served.ts';
import type { Log } from './log.ts';

/** Without an answer of the switch each port takes its time to fail, and the manager waits for this agent. */
const patienceMs = 30_000;

/**
 * Removes ports whose VM has neither a domain here nor a spec that says it is expected (a migration that was prepared).
 * Failures are logged: an agent that starts halfway is of more use than none, and one VM's trouble is no other's.
 */
export async function clearLeftovers(host: HostContext, log: Log): Promise<void> {
  const { hypervisor, network } = host.drivers;
  const deadlineMs = host.clock.now() + patienceMs;
  const unlessFails = async (what: string, work: () => Promise<void>): Promise<void> => {
    if (host.clock.now() > deadlineMs) return;
    try {
      await work();
    } catch (error) {
      log(`could not put the ports in order: ${what}`, error);
    }
  };
  await unlessFails('which there are', async () => {
    const domains = await hypervisor.list();
    const here = new Set(domains.map((domain) => domain.vmId));
    for (const port of await network.listPorts()) {
      if (here.has(port.vmId) || host.specs.get(port.vmId) !== undefined) continue;
      log(`removing port ${port.nicId} of VM ${port.vmId}, which is not here`);
      await unlessFails(port.nicId, () => network.detachPort(port.nicId));
    }
    const active = domains.filter((domain) => domain.state === 'running' || domain.state === 'paused');
    for (const { vmId } of active) await unlessFails(`those of VM ${vmId}`, () => replugPorts(host, vmId));
  });
}

/**
 * With what was in force before, or sessions would go on that it allowed and this one does not. In another boot without gateways:
 * while the host was off another one may have taken them over, and only the manager knows.
 */
async function applyAgain({ drivers, served, locks, bootId }: HostContext, networks: ServedNetworks): Promise<void> {
  const { generation, before } = networks;
  const slice = networks.bootId === bootId ? networks.slice : withoutGateways(networks.slice);
  await locks.run('networks', async () => {
    await drivers.network.apply(generation, slice, before ?? slice);
    if (before || slice !== networks.slice) await served.set({ networks: { generation, bootId, slice, before: null } });
  });
}

/** Serves the pools and networks of the last run; none of them is made anew. */
export async function serveAgain(host: HostContext, log: Log): Promise<void> {
  const { pools, networks } = host.served.lists;
  const works = [
    async () => networks !== null && (await applyAgain(host, networks)),
    async () => pools.length > 0 && (await host.drivers.storage.applyPools(pools.map(withoutMaking))),
  ];
  for (const result of await Promise.allSettled(works.map((work) => work()))) {
    if (result.status === 'rejected') log('could not serve what was served before', result.reason);
  }
}

function withoutMaking<T>(pool: T): T & { readonly initialize: false } {
  return { ...pool, initialize: false };
}
