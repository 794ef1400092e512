/** Lets a paused VM go on. */
import { vmResume as resumeCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmResume = defineTask({
  kind: 'vm-resume',
  cancellable: false,
  steps: [powerStep('vm-resume', ({ params, call }, hostId) => call(hostId, resumeCall, { vmId: params.vmId }))],
  undone: wantWhatIsSeen,
});
