/** The death of a host in memory, proven, and its return. */
import { leaseExpiredProof, operatorProof, rebootedProof } from '@kvasir/control/ha/fence-proof.ts';
import assert from 'node:assert/strict';
import { systemClock } from '@kvasir/api/clock.ts';
import { Leftovers } from '../controllers/leftovers.ts';
import { systemIds } from '../ids.ts';
import { endProofs, recordProof } from '../store/fence-proofs.ts';
import { hosts } from '../store/hosts.ts';
import { ports } from '../store/networks.ts';
import { poolHosts } from '../store/pools.ts';
import { vmDisks, vms } from '../store/vms.ts';
import type { FakeDomain } from './fake-hosts.ts';
import type { TaskWorld } from './task-world.ts';

const word = { userId: systemIds.uuid(), userName: 'eva', statement: 'unplugged' };

/** From now on nobody reaches it, and everybody knows why. */
export async function die(world: TaskWorld, hostId: string): Promise<void> {
  await lose(world, hostId);
  const proof = operatorProof({ hostId, hostName: 'it', bootId: null }, word, 1);
  await world.store.transaction((tx) => recordProof(tx, systemIds.uuid(), proof, null));
}

/** The host is known to have ended its VMs with disks in the shared pool, and nothing else is known of it. */
export async function dieToItsLeases(world: TaskWorld, hostId: string): Promise<void> {
  await lose(world, hostId);
  const seen = { observerId: world.h2, observerName: 'h2', poolId: world.sharedPool, bootId: systemIds.uuid() };
  const lease = { guarded: true, leaseMs: 1000, unchangedMs: 100_000, readAtMs: 1, ownRenewedMsAgo: 0 };
  const rule = { leaseMs: 1000, renewEveryMs: 100 };
  const found = leaseExpiredProof({ hostId, hostName: 'it', bootId: null }, [{ ...seen, ...lease }], rule, 1);
  assert.ok('proof' in found);
  await world.store.transaction((tx) => recordProof(tx, systemIds.uuid(), found.proof, null));
}

/** It runs again, and has not said so itself yet. */
export async function bootAnew(world: TaskWorld, hostId: string): Promise<void> {
  await lose(world, hostId);
  const proof = rebootedProof({ hostId, hostName: 'it', bootId: 'the last' }, 'the next', 1);
  await world.store.transaction((tx) => recordProof(tx, systemIds.uuid(), proof, null));
}

async function lose({ store }: TaskWorld, hostId: string): Promise<void> {
  await store.transaction((tx) => hosts.set(tx, { id: hostId }, { state: 'down' }));
}

/** It was booted anew: nothing runs, VMs that belong there are started from their rows again, and what is left over is cleared. */
export async function comeBack(world: TaskWorld, hostId: string): Promise<void> {
  const { store, hosts: fakes } = world;
  fakes.fate = () => ({ kind: 'work' });
  const { domains } = fakes.host(hostId);
  for (const [id, domain] of domains) {
    if (domain.incoming) domains.delete(id);
    else domain.state = 'stopped';
  }
  await store.transaction(async (tx) => {
    await hosts.set(tx, { id: hostId }, { state: 'up' });
    await endProofs(tx, hostId, 2);
    await poolHosts.set(tx, { hostId }, { reachable: true });
    for (const vm of await vms.select(tx, { hostId })) {
      if (!['running', 'paused', 'stopped', 'suspended', 'unknown', 'crashed'].includes(vm.state)) continue;
      await vms.set(tx, { id: vm.id }, { state: 'stopped' });
      const disks = await vmDisks.select(tx, { vmId: vm.id });
      const nics = await ports.select(tx, { vmId: vm.id });
      const defined: FakeDomain = {
        state: 'stopped',
        volumes: new Set(disks.map(({ volumeId }) => volumeId)),
        nics: new Set(nics.map(({ id }) => id)),
        incoming: false,
      };
      domains.set(vm.id, defined);
    }
  });
  await new Leftovers({ store, clock: systemClock, ids: systemIds, calls: fakes }).clear();
}
