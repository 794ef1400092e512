/** Held against a cluster that saves power: whom it switched off is asleep, not lost, and carries nothing. */
import { haIncidents } from '@kvasir/manager/store/ha-incidents.ts';
import { fenceProofs } from '@kvasir/manager/store/fence-proofs.ts';
import { hostHa } from '@kvasir/manager/store/host-ha.ts';
import { hostStandby } from '@kvasir/manager/store/host-standby.ts';
import { vms } from '@kvasir/manager/store/vms.ts';
import type { World } from '../world/world.ts';

/** Hosts whose power is off, or is about to be on or off, because the manager wants it so. Who was lost on the way there is lost. */
export async function sleeping({ store: { db } }: World): Promise<ReadonlySet<string>> {
  const rows = await hostStandby.select(db, { phase: ['entering', 'standby', 'waking'] });
  const quiet = await hostHa.select(db, { hostId: rows.map(({ hostId }) => hostId), state: 'standby' });
  return new Set(quiet.map(({ hostId }) => hostId));
}

/** Whether the manager cut the power of this host, just now, to save it. */
export async function cutToSave({ store: { db } }: World, hostId: string): Promise<boolean> {
  const row = await hostStandby.find(db, { hostId });
  return row !== undefined && (await hostHa.find(db, { hostId }))?.state === 'standby';
}

/** What a host in standby must not have, in words; undefined: all is well. */
export async function wrongInStandby(world: World): Promise<string | undefined> {
  const { db } = world.store;
  const asleep = (await hostStandby.select(db, { phase: 'standby' })).map(({ hostId }) => hostId);
  if (asleep.length === 0) return undefined;
  const [vm] = [...(await vms.select(db, { hostId: asleep })), ...(await vms.select(db, { reservedHostId: asleep }))];
  if (vm !== undefined) return `${vm.name} is on a host in standby, ${world.nameOf(vm.reservedHostId ?? vm.hostId!)}`;
  const [incident] = await haIncidents.select(db, { hostId: asleep, closedAt: null });
  if (incident !== undefined) return `an incident of ${incident.hostName} is open, which is in standby`;
  const [proof] = await fenceProofs.select(db, { hostId: asleep, endedAt: null });
  return proof && `${world.nameOf(proof.hostId)} is taken for dead (${proof.because}), and is in standby`;
}
