/** Starts a stopped VM, or wakes a suspended one. */
import { vmStart as startCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { requireNowhereElse } from './nowhere-else.ts';
import { defineStopped, powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmStart = defineTask({
  kind: 'vm-start',
  cancellable: true,
  steps: [
    defineStopped(),
    powerStep('vm-start', async ({ db, params, call }, hostId) => {
      await requireNowhereElse(db, params.vmId, hostId, 'start');
      return await call(hostId, startCall, { vmId: params.vmId, paused: params.paused });
    }),
  ],
  undone: wantWhatIsSeen,
});
