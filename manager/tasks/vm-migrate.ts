/**
 * Moves a running VM. The destination is made ready, the source sends, and with its success the VM belongs to the destination
 * in the same transaction; then the source is cleared. Until the send succeeds the VM belongs to the source.
 *
 * Taken back, the source ends the migration first and says where the domain is, for it may go on without a manager and without
 * an agent: nothing is cleared at the destination before. A domain that has arrived stays there, and the task goes on.
 *
 * A host that is proven dead is not asked: with the source dead the destination says whether the domain arrived, with the destination
 * dead the source whether it left and when, and with both dead it runs nowhere, unless the destination was on again before the source died.
 */
import type { VolumeRef } from '@kvasir/api/agent/storage.ts';
import {
  isAtRest,
  migrationAbandon,
  migrationCancel,
  migrationDeparture,
  migrationForget,
  migrationPrepare,
  migrationReady,
  migrationSend,
  vmList,
} from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Executor, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { validProof } from '../store/fence-proofs.ts';
import { hostDomains } from '../store/host-domains.ts';
import type { LeftoverPlace } from '../store/host-leftovers.ts';
import { hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import { defineStep, defineTask, type StepContext } from './kind.ts';
import { fileOn, leaveBehind } from './leftover-clearing.ts';
import type { TaskParams } from './params.ts';
import { deathOf, isDeadFor } from './proven-dead.ts';
import { loadVm, vmSpec } from './vm-spec.ts';
import { bytesPerMib, volumeRef } from './volume-files.ts';

/** No host is on again, with its hypervisor, in less. */
const quickestBootMs = 15_000;

type Params = TaskParams<'vm-migrate'>;
type Call = StepContext<Params>['call'];

const prepare = defineStep('vm-migrate', {
  name: 'prepare',
  run: async ({ db, params, call }) => {
    await requireLiving(db, params);
    const copyVolumes = (await copied(db, params)).map((volume) => ({
      ...volumeRef(volume),
      sizeBytes: volume.sizeMib * bytesPerMib,
    }));
    const vm = vmSpec(await loadVm(db, params.vmId));
    return await call(params.destinationHostId, migrationPrepare, { vm, copyVolumes });
  },
  undo: async (context) => {
    const { db, params, call } = context;
    const copyVolumes = (await copied(db, params)).map(volumeRef);
    if (await isDeadFor(db, params.vmId, params.destinationHostId)) {
      await leaveBehind(context, leftOn(params.destinationHostId, params.vmId, copyVolumes));
      return;
    }
    const { arrived } = await call(params.destinationHostId, migrationAbandon, { vmId: params.vmId, copyVolumes });
    if (arrived && !(await restsThere(call, params))) {
      throw unclear('the VM is on the destination, and the source did not let it go');
    }
  },
});

/**
 * Whether a definition rests on the destination: one that was left there earlier. To be made ready begins with clearing it, so nothing
 * was made there, and it goes as leftovers do once the task has ended.
 */
async function restsThere(call: Call, { vmId, destinationHostId }: Params): Promise<boolean> {
  const { domains } = await call(destinationHostId, vmList, {});
  return domains.some((domain) => domain.vmId === vmId && isAtRest(domain.state));
}

/** The destination may have been lost, or booted anew, since it was prepared. */
async function requireReady(db: Executor, { vmId, destinationHostId }: Params, call: Call): Promise<void> {
  const { disks } = await loadVm(db, vmId);
  const poolIds = [...new Set(disks.map(({ volume }) => volume.poolId))];
  await call(destinationHostId, migrationReady, { vmId, poolIds });
}

const send = defineStep('vm-migrate', {
  name: 'send',
  run: async ({ db, params, resultOf, call, progress }) => {
    await requireLiving(db, params);
    const { domains } = await call(params.sourceHostId, vmList, {});
    // Repeated after it has left, there is nothing to make sure of any more.
    if (domains.some(({ vmId, incoming }) => vmId === params.vmId && !incoming)) await requireReady(db, params, call);
    const { connectUri, migrationHost, functions } = resultOf(prepare);
    const sent = await call(params.sourceHostId, migrationSend, {
      vmId: params.vmId,
      connectUri,
      migrationHost,
      copyVolumeIds: params.copyVolumeIds,
      autoConverge: params.autoConverge,
      maxDowntimeMs: params.maxDowntimeMs,
      bandwidthMibps: params.bandwidthMibps,
      ...(functions === undefined ? {} : { functions }),
    });
    progress({ percent: 100, downtimeMs: sent.downtimeMs });
    // Taken back, it is told whether the VM came there before or after that.
    await requireLiving(db, params);
    return sent;
  },
  apply: async ({ tx, params, task, now }, { downtimeMs }) => {
    await moveRows(tx, params, now);
    const vm = await vms.get(tx, params.vmId);
    await appendEvent(tx, {
      at: now,
      kind: 'vm.migrated',
      message: `VM "${vm.name}" moved to another host`,
      target: { kind: 'vm', id: vm.id, name: vm.name },
      projectId: vm.projectId,
      taskId: task.id,
      userId: task.userId,
      details: { sourceHostId: params.sourceHostId, destinationHostId: params.destinationHostId, downtimeMs },
    });
  },
  undo: async ({ db, params, call, clock }) => {
    const { vmId, destinationHostId } = params;
    const arrived = { tooLate: { downtimeMs: null, bytesTotal: null } };
    const nobodyThere = await isDeadFor(db, vmId, destinationHostId);
    if (await isDeadFor(db, vmId, params.sourceHostId)) {
      if (nobodyThere) {
        const sentBy = (await validProof(db, params.sourceHostId))!;
        await requireLaterDeath(db, destinationHostId, sentBy.at - quickestBootMs);
        return undefined;
      }
      const copyVolumes = (await copied(db, params)).map(volumeRef);
      const answer = await call(destinationHostId, migrationAbandon, { vmId, copyVolumes });
      return answer.arrived ? arrived : undefined;
    }
    const { outcome } = await call(params.sourceHostId, migrationCancel, { vmId });
    if (outcome === 'stayed') return undefined;
    if (nobodyThere) {
      const { awayMs } = await call(params.sourceHostId, migrationDeparture, { vmId });
      await requireLaterDeath(db, destinationHostId, clock.now() - awayMs);
      // It belongs to the destination, as far as that matters: from there it is restarted.
      return arrived;
    }
    const { domains } = await call(destinationHostId, vmList, {});
    if (!domains.some((domain) => domain.vmId === vmId && !domain.incoming))
      throw unclear('the VM has left the source, and is not on the destination');
    return arrived;
  },
  weight: 8,
});

const forget = defineStep('vm-migrate', {
  name: 'forget',
  forwardOnly: true,
  run: async (context) => {
    const { db, params, call } = context;
    const copiedVolumes = (await copied(db, params)).map(volumeRef);
    if (await isDeadFor(db, params.vmId, params.sourceHostId)) {
      await leaveBehind(context, leftOn(params.sourceHostId, params.vmId, copiedVolumes));
      return;
    }
    await call(params.sourceHostId, migrationForget, { vmId: params.vmId, copiedVolumes });
  },
});

export const vmMigrate = defineTask({
  kind: 'vm-migrate',
  cancellable: true,
  steps: [prepare, send, forget],
  undone: async ({ tx, params, now }) => {
    await vms.update(tx, params.vmId, { reservedHostId: null }, { now });
  },
});

/** Neither a source nor a destination that is dead comes to an end with it: it is taken back at once. */
async function requireLiving(db: Executor, { vmId, sourceHostId, destinationHostId }: Params): Promise<void> {
  for (const [side, hostId] of Object.entries({ source: sourceHostId, destination: destinationHostId })) {
    if (await isDeadFor(db, vmId, hostId)) throw unclear(`its ${side} is proven dead`);
  }
}

/**
 * A source may hang for long and send the VM then, to a destination that was dead and is back without having been heard: the proof is
 * about the boot, or the lease, that was. Whether the VM runs there has to be heard, or proven anew.
 * @throws host-unreachable when the VM may have come there after all that is proven
 */
async function requireLaterDeath(db: Executor, hostId: string, cameByMs: number): Promise<void> {
  const proof = await deathOf(db, hostId);
  if (proof !== undefined && proof.at >= cameByMs) return;
  throw new KvasirError('host-unreachable', { host: (await hosts.get(db, hostId)).name, hostId });
}

/** What there is of the move on a host that is dead. */
function leftOn(hostId: string, vmId: string, files: readonly VolumeRef[]): LeftoverPlace[] {
  const domain = { hostId, kind: 'domain', targetId: vmId, poolId: null, format: null } as const;
  return [domain, ...files.map((file) => fileOn(hostId, file))];
}

function unclear(reason: string): KvasirError {
  return new KvasirError('host-failed', { reason });
}

async function copied(db: Executor, params: Params): Promise<VolumeRow[]> {
  return await volumes.select(db, { id: params.copyVolumeIds });
}

/** The VM and its copied disks belong to the destination. A copy stands on no image. */
async function moveRows(tx: Tx, params: Params, now: number): Promise<void> {
  const { vmId, destinationHostId: hostId } = params;
  const vm = await vms.update(tx, vmId, { hostId, reservedHostId: null }, { now });
  // The destination may die before it could report the domain, which ran there then.
  const seen = { name: vm.name, state: 'running', managed: true, vmId, seenAt: now };
  if ((await hostDomains.find(tx, { hostId, domainId: vmId })) === undefined) {
    await hostDomains.insert(tx, { hostId, domainId: vmId, ...seen });
  }
  for (const id of params.copyVolumeIds) {
    await volumes.update(tx, id, { hostId: params.destinationHostId, linked: false }, { now });
  }
}
