/** Starts a stopped VM, or wakes a suspended one. A host that is proven dead meanwhile is not waited for. */
import { vmStart as startCall } from '@kvasir/api/agent/vm.ts';
import { defineTask } from './kind.ts';
import { requireNowhereElse } from './nowhere-else.ts';
import { requireLivingHost } from './proven-dead.ts';
import { defineStopped, powerStep, wantWhatIsSeen } from './vm-power.ts';

export const vmStart = defineTask({
  kind: 'vm-start',
  cancellable: true,
  steps: [
    defineStopped(),
    powerStep('vm-start', async ({ db, params, call }, hostId) => {
      await requireLivingHost(db, params.vmId, hostId);
      await requireNowhereElse(db, params.vmId, hostId, 'start');
      return await call(hostId, startCall, { vmId: params.vmId, paused: params.paused });
    }),
  ],
  undone: wantWhatIsSeen,
});
