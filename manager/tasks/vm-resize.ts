/** Changes a VM's processors and memory; the rows already hold the larger of both sizes while it runs. */
import { vmResize as resizeCall } from '@kvasir/api/agent/vm.ts';
import { vms } from '../store/vms.ts';
import { defineStep, defineTask } from './kind.ts';
import { hostOf } from './vm-spec.ts';

const resize = defineStep('vm-resize', {
  name: 'resize',
  run: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    return await call(hostId, resizeCall, { vmId: params.vmId, ...params.to });
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
