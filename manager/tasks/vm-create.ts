/**
 * Creates a VM: its new volumes (and before them their images, where they are missing), then its domain, then starts it. A host that
 * sleeps has been told to wake when the VM was promised to it; nothing begins before it is up.
 */
import { volumeDelete } from '@kvasir/api/agent/storage.ts';
import { vmDefine, vmStart, vmUndefine } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { standbyOf } from '../store/host-standby.ts';
import { ports } from '../store/networks.ts';
import { recordVmState } from '../store/vm-state.ts';
import { vmDisks, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { bringImages } from './image-copy.ts';
import { defineStep, defineTask } from './kind.ts';
import { powerOff } from './vm-power-off.ts';
import { hostOf, loadVm, vmSpec } from './vm-spec.ts';
import { createVolumeFile, volumeRef } from './volume-files.ts';

const lookEveryMs = 300;

/** Ends with the wake: that one has its own bound. */
const awake = defineStep('vm-create', {
  name: 'host-awake',
  run: async ({ db, params, clock, signal }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    for (;;) {
      const sleeper = await standbyOf(db, hostId);
      if (sleeper === undefined) return;
      // Its owner may not see hosts.
      if (sleeper.phase !== 'waking')
        throw new KvasirError('no-host-fits', { reasons: 'the host that was woken for it did not come up; ask again' });
      await clock.sleep(lookEveryMs, signal);
    }
  },
  apply: async ({ tx, params, now }) => {
    if ((await vms.get(tx, params.vmId)).stateReason !== null)
      await vms.update(tx, params.vmId, { stateReason: null }, { now });
  },
  weight: 0.1,
});

const image = defineStep('vm-create', {
  name: 'image',
  run: async (context) => {
    const { db, params } = context;
    await bringImages(context, hostOf(await vms.get(db, params.vmId)), params.newVolumeIds);
  },
  weight: 3,
});

const makeVolumes = defineStep('vm-create', {
  name: 'volumes',
  run: async (context) => {
    const hostId = hostOf(await vms.get(context.db, context.params.vmId));
    for (const volumeId of context.params.newVolumeIds) await createVolumeFile(context, hostId, volumeId, volumeId);
  },
  apply: async ({ tx, params, now }) => {
    for (const id of params.newVolumeIds) await volumes.update(tx, id, { state: 'ready' }, { now });
  },
  undo: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    for (const volumeId of params.newVolumeIds) {
      await call(hostId, volumeDelete, volumeRef(await volumes.get(db, volumeId)), volumeId);
    }
  },
  weight: 3,
});

const define = defineStep('vm-create', {
  name: 'define',
  run: async ({ db, params, call }) => {
    const rows = await loadVm(db, params.vmId);
    return await call(hostOf(rows.vm), vmDefine, { vm: vmSpec(rows) });
  },
  apply: async ({ tx, params, task, now }, answer) => {
    // With a start to come it stays `creating`: nobody sees it stopped in between.
    if (!params.start)
      await recordVmState(tx, params.vmId, { state: answer.state, reason: null, now, taskId: task.id });
  },
  undo: async ({ db, params, call }) => {
    await call(hostOf(await vms.get(db, params.vmId)), vmUndefine, { vmId: params.vmId });
  },
});

const start = defineStep('vm-create', {
  name: 'start',
  run: async ({ db, params, call }) => {
    if (!params.start) return null;
    const vm = await vms.get(db, params.vmId);
    return await call(hostOf(vm), vmStart, { vmId: params.vmId, paused: false });
  },
  apply: async ({ tx, params, task, now }, answer) => {
    if (answer === null) return;
    await recordVmState(tx, params.vmId, { state: answer.state, reason: null, now, taskId: task.id });
  },
  undo: async ({ db, params, call }) => {
    if (!params.start) return;
    await powerOff({ call }, hostOf(await vms.get(db, params.vmId)), params.vmId);
  },
});

export const vmCreate = defineTask({
  kind: 'vm-create',
  cancellable: true,
  steps: [awake, image, makeVolumes, define, start],
  undone: async ({ tx, params, task, now }, because) => {
    await vmDisks.remove(tx, { vmId: params.vmId });
    await volumes.remove(tx, { id: params.newVolumeIds });
    if (because.code === 'cancelled') {
      await vms.remove(tx, { id: params.vmId });
      return;
    }
    await ports.remove(tx, { vmId: params.vmId });
    await recordVmState(tx, params.vmId, { state: 'failed', reason: because.message, now, taskId: task.id });
    await vms.update(tx, params.vmId, { hostId: null, desiredState: 'stopped' }, { now });
  },
});
