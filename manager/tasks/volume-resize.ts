/** Grows a volume: its file, or the disk of the VM that runs on it. A volume never shrinks, so there is no undo. */
import { volumeResize as resizeCall } from '@kvasir/api/agent/storage.ts';
import { vmResizeDisk } from '@kvasir/api/agent/vm.ts';
import { vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { defineStep, defineTask } from './kind.ts';
import { hostOf } from './vm-spec.ts';
import { bytesPerMib, volumeRef } from './volume-files.ts';

const resize = defineStep('volume-resize', {
  name: 'resize',
  run: async ({ db, params, call }) => {
    const sizeBytes = params.toMib * bytesPerMib;
    const vm = params.vmId === null ? undefined : await vms.get(db, params.vmId);
    if (vm?.state === 'running' || vm?.state === 'paused') {
      await call(hostOf(vm), vmResizeDisk, { vmId: vm.id, volumeId: params.volumeId, sizeBytes });
    } else {
      const volume = await volumes.get(db, params.volumeId);
      await call(params.hostId, resizeCall, { ...volumeRef(volume), sizeBytes });
    }
  },
});

export const volumeResize = defineTask({
  kind: 'volume-resize',
  cancellable: false,
  steps: [resize],
  undone: async ({ tx, params, now }) => {
    await volumes.update(tx, params.volumeId, { sizeMib: params.fromMib }, { now });
  },
});
