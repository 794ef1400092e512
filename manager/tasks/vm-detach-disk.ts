/** Detaches a volume from a VM and keeps it. A guest that does not let go fails the task; the disk then stays attached. */
import { vmAttachDisk as attachCall, vmDetachDisk as detachCall } from '@kvasir/api/agent/vm.ts';
import { vmDisks, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { defineStep, defineTask } from './kind.ts';
import { diskSpec, hostOf } from './vm-spec.ts';

const detach = defineStep('vm-detach-disk', {
  name: 'detach',
  run: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    await call(hostId, detachCall, { vmId: params.vmId, volumeId: params.volumeId });
  },
  undo: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    const disk = diskSpec(await vmDisks.get(db, params.volumeId), await volumes.get(db, params.volumeId));
    await call(hostId, attachCall, { vmId: params.vmId, disk });
  },
});

export const vmDetachDisk = defineTask({
  kind: 'vm-detach-disk',
  cancellable: true,
  steps: [detach],
  done: async ({ tx, params }) => {
    await vmDisks.remove(tx, { volumeId: params.volumeId });
  },
});
