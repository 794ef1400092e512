/** Leases and peers: passes the plan on to the keeper, and starts no VM where this host's lease is not held. */
import { livenessApply } from '@kvasir/api/agent/liveness.ts';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LeasePlace } from '../drivers/liveness.ts';
import { handler, type Handler, type HostContext } from './handler.ts';

export function livenessHandlers(host: HostContext): Handler[] {
  return [
    handler(livenessApply, (plan) =>
      host.locks.run('liveness', async () => {
        await host.drivers.liveness.apply(plan, places(host));
        return {};
      }),
    ),
  ];
}

/** The plan of the leases may have come first, and named pools that were not here yet. */
export async function serveLeases(host: HostContext): Promise<void> {
  await host.locks.run('liveness', () => host.drivers.liveness.serve(places(host)));
}

function places({ served }: HostContext): LeasePlace[] {
  return served.lists.pools.map(({ poolId, path }) => ({ poolId, path }));
}

interface WithDisks {
  readonly disks: readonly Pick<VmSpec['disks'][number], 'poolId'>[];
}

/** A keeper that has just started needs a moment for its first renewal. */
const patienceMs = 5000;
const lookEveryMs = 100;

/**
 * Others may take over what runs in a pool whose lease this host does not hold, so nothing starts there.
 * @throws KvasirError host-failed
 */
export async function requireLeases(host: HostContext, vm: WithDisks | undefined): Promise<void> {
  const { clock, drivers } = host;
  // By what was slept, not by the clock, which somebody may set back: this holds up the VM.
  let waitedMs = 0;
  for (const { poolId } of vm?.disks ?? []) {
    while (drivers.liveness.leaseOf(poolId) === 'lost') {
      if (waitedMs >= patienceMs) throw notHeld(host, poolId);
      await clock.sleep(lookEveryMs);
      waitedMs += lookEveryMs;
    }
  }
}

/**
 * Gets a VM ready to start, and refuses the start if a lease of it was lost meanwhile, though it be back: in that time the VM may
 * have been started elsewhere, and its start here be one that nobody waits for any more.
 * @throws KvasirError host-failed
 */
export async function getReady(
  host: HostContext,
  vm: WithDisks | undefined,
  prepare: () => Promise<void>,
): Promise<void> {
  const { liveness } = host.drivers;
  const lost = new Set<string>();
  const unwatch = liveness.watch((event) => void (event.kind === 'storage-lost' && lost.add(event.poolId)));
  try {
    await requireLeases(host, vm);
    await prepare();
  } finally {
    unwatch();
  }
  for (const { poolId } of vm?.disks ?? []) {
    if (lost.has(poolId) || liveness.leaseOf(poolId) === 'lost') throw notHeld(host, poolId);
  }
}

function notHeld({ served }: HostContext, poolId: string): KvasirError {
  const name = served.lists.pools.find((pool) => pool.poolId === poolId)?.name ?? poolId;
  const reason = `this host does not hold its lease in pool ${name}: it cannot write there, or has only just booted`;
  return new KvasirError('host-failed', { reason });
}
