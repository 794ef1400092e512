/** Starts a stopped VM, or wakes a suspended one. */
import { vmStart as startCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { defineStopped, powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmStart = defineTask({
  kind: 'vm-start',
  cancellable: true,
  steps: [
    defineStopped(),
    powerStep('vm-start', ({ params, call }, hostId) =>
      call(hostId, startCall, { vmId: params.vmId, paused: params.paused }),
    ),
  ],
  undone: wantWhatIsSeen,
});
