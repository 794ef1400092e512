/** Halts a VM's processors; its memory stays. */
import { vmPause as pauseCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmPause = defineTask({
  kind: 'vm-pause',
  cancellable: false,
  steps: [powerStep('vm-pause', ({ params, call }, hostId) => call(hostId, pauseCall, { vmId: params.vmId }))],
  undone: wantWhatIsSeen,
});
