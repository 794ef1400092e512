/** Presses a VM's reset button. */
import { vmReset as resetCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmReset = defineTask({
  kind: 'vm-reset',
  cancellable: false,
  steps: [powerStep('vm-reset', ({ params, call }, hostId) => call(hostId, resetCall, { vmId: params.vmId }))],
  undone: wantWhatIsSeen,
});
