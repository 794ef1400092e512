/** Attaches a volume, existing or new, to a VM; hot when it runs. */
import { volumeDelete } from '@kvasir/api/agent/storage.ts';
import { vmAttachDisk as attachCall, vmDetachDisk as detachCall } from '@kvasir/api/agent/vm.ts';
import { vmDisks, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { bringImages } from './image-copy.ts';
import { defineStep, defineTask } from './kind.ts';
import { diskSpec, hostOf } from './vm-spec.ts';
import { createVolumeFile, volumeRef } from './volume-files.ts';

const image = defineStep('vm-attach-disk', {
  name: 'image',
  run: async (context) => {
    const { db, params } = context;
    if (params.newVolume) await bringImages(context, hostOf(await vms.get(db, params.vmId)), [params.volumeId]);
  },
});

const makeVolume = defineStep('vm-attach-disk', {
  name: 'volume',
  run: async (context) => {
    const { db, params } = context;
    if (params.newVolume) await createVolumeFile(context, hostOf(await vms.get(db, params.vmId)), params.volumeId);
  },
  apply: async ({ tx, params, now }) => {
    if (params.newVolume) await volumes.update(tx, params.volumeId, { state: 'ready' }, { now });
  },
  undo: async ({ db, params, call }) => {
    if (!params.newVolume) return;
    const hostId = hostOf(await vms.get(db, params.vmId));
    await call(hostId, volumeDelete, volumeRef(await volumes.get(db, params.volumeId)));
  },
});

const attach = defineStep('vm-attach-disk', {
  name: 'attach',
  run: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    const disk = diskSpec(await vmDisks.get(db, params.volumeId), await volumes.get(db, params.volumeId));
    await call(hostId, attachCall, { vmId: params.vmId, disk });
  },
  undo: async ({ db, params, call }) => {
    await call(hostOf(await vms.get(db, params.vmId)), detachCall, { vmId: params.vmId, volumeId: params.volumeId });
  },
});

export const vmAttachDisk = defineTask({
  kind: 'vm-attach-disk',
  cancellable: true,
  steps: [image, makeVolume, attach],
  undone: async ({ tx, params }) => {
    await vmDisks.remove(tx, { volumeId: params.volumeId });
    if (params.newVolume) await volumes.remove(tx, { id: params.volumeId });
  },
});
