/** Leases and peers: passes the plan on to the keeper, and starts no VM where this host's lease is not held. */
import { livenessApply } from '@kvasir/api/agent/liveness.ts';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { handler, type Handler, type HostContext } from './handler.ts';

export function livenessHandlers(host: HostContext): Handler[] {
  return [
    handler(livenessApply, (plan) =>
      host.locks.run('liveness', async () => {
        const places = host.served.lists.pools.map(({ poolId, path }) => ({ poolId, path }));
        await host.drivers.liveness.apply(plan, places);
        return {};
      }),
    ),
  ];
}

/** A keeper that has just started needs a moment for its first renewal. */
const patienceMs = 5000;
const lookEveryMs = 100;

/**
 * Others may take over what runs in a pool whose lease this host does not hold, so nothing starts there.
 * @throws KvasirError host-failed
 */
export async function requireLeases(host: HostContext, vm: Pick<VmSpec, 'disks'> | undefined): Promise<void> {
  const { clock, drivers } = host;
  const deadlineMs = clock.now() + patienceMs;
  for (const { poolId } of vm?.disks ?? []) {
    while (drivers.liveness.leaseOf(poolId) === 'lost') {
      if (clock.now() >= deadlineMs) {
        const name = host.served.lists.pools.find((pool) => pool.poolId === poolId)?.name ?? poolId;
        const reason = `this host does not hold its lease in pool ${name}: it cannot write there, or has only just booted`;
        throw new KvasirError('host-failed', { reason });
      }
      await clock.sleep(lookEveryMs);
    }
  }
}
