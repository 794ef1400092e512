/** Saves a VM's memory to disk and stops it. */
import { vmSuspend as suspendCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmSuspend = defineTask({
  kind: 'vm-suspend',
  cancellable: false,
  steps: [powerStep('vm-suspend', ({ params, call }, hostId) => call(hostId, suspendCall, { vmId: params.vmId }))],
  undone: wantWhatIsSeen,
});
