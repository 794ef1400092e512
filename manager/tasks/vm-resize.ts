/**
 * Changes a VM's processors and memory; the rows already hold the larger of both sizes while it runs. A running guest that
 * keeps what it has is a failure: else the VM would be told, and counted on its host, as something that it is not.
 */
import { vmResize as resizeCall } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { vms } from '../store/vms.ts';
import { defineStep, defineTask } from './kind.ts';
import { hostOf } from './vm-spec.ts';

const resize = defineStep('vm-resize', {
  name: 'resize',
  run: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    const { live } = await call(hostId, resizeCall, { vmId: params.vmId, ...params.to });
    if (!live) {
      throw new KvasirError('unsupported', {
        reason:
          'The running guest does not take this size: memory grows by steps of 128 MiB, and few guests give processors back. ' +
          'Stop the VM to resize it',
      });
    }
  },
  apply: async ({ tx, params, now }) => {
    await vms.update(tx, params.vmId, params.to, { now });
  },
  undo: async ({ db, params, call }) => {
    await call(hostOf(await vms.get(db, params.vmId)), resizeCall, { vmId: params.vmId, ...params.from });
  },
});

export const vmResize = defineTask({
  kind: 'vm-resize',
  cancellable: false,
  steps: [resize],
  undone: async ({ tx, params, now }) => {
    await vms.update(tx, params.vmId, params.from, { now });
  },
});
