/** Takes a VM out of the trash: it is defined again, stopped, on the host chosen for it. */
import { vmDefine, vmUndefine } from '@kvasir/api/agent/vm.ts';
import { recordVmState } from '../store/vm-state.ts';
import { vmDisks, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { defineStep, defineTask } from './kind.ts';
import { hostOf, loadVm, vmSpec } from './vm-spec.ts';

const define = defineStep('vm-restore', {
  name: 'define',
  run: async ({ db, params, call }) => {
    const rows = await loadVm(db, params.vmId);
    return await call(hostOf(rows.vm), vmDefine, { vm: vmSpec(rows) });
  },
  apply: async ({ tx, params, task, now }, answer) => {
    await recordVmState(tx, params.vmId, { state: answer.state, reason: 'restored', now, taskId: task.id });
  },
  undo: async ({ db, params, call }) => {
    await call(hostOf(await vms.get(db, params.vmId)), vmUndefine, { vmId: params.vmId });
  },
});

export const vmRestore = defineTask({
  kind: 'vm-restore',
  cancellable: true,
  steps: [define],
  undone: async ({ tx, params, now }) => {
    const { trashedAt, purgeAt } = params;
    await vms.update(tx, params.vmId, { hostId: null, trashedAt, purgeAt }, { now });
    for (const disk of await vmDisks.select(tx, { vmId: params.vmId })) {
      await volumes.update(tx, disk.volumeId, { trashedAt }, { now });
    }
  },
});
