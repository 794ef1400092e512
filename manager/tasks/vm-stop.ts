/** Shuts a VM down by ACPI, then powers it off when its time is over. A cancel ends the waiting. */
import { vmStop as stopCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmStop = defineTask({
  kind: 'vm-stop',
  cancellable: true,
  steps: [
    powerStep(
      'vm-stop',
      ({ params, call }, hostId) =>
        call(hostId, stopCall, { vmId: params.vmId, timeoutMs: params.force ? 0 : params.timeoutMs }),
      'stopped on request',
    ),
  ],
  undone: wantWhatIsSeen,
});
