/**
 * A stopped VM gets another home: its old host forgets it, then it belongs to the new one and is defined there. Its disks can be
 * reached from both. The old host refuses to forget a VM that runs, so a VM that was started meanwhile stays where it is.
 */
import { vmDefine, vmUndefine } from '@kvasir/api/agent/vm.ts';
import { vms } from '../store/vms.ts';
import { defineStep, defineTask } from './kind.ts';
import { loadVm, vmSpec } from './vm-spec.ts';

const release = defineStep('vm-rehome', {
  name: 'release',
  run: async ({ params, call }) => {
    await call(params.fromHostId, vmUndefine, { vmId: params.vmId });
  },
  apply: async ({ tx, params, now }) => {
    await vms.update(tx, params.vmId, { hostId: params.toHostId, reservedHostId: null }, { now });
  },
  undo: async ({ db, params, call }) => {
    await call(params.fromHostId, vmDefine, { vm: vmSpec(await loadVm(db, params.vmId)) });
  },
});

const define = defineStep('vm-rehome', {
  name: 'define',
  run: async ({ db, params, call }) => {
    await call(params.toHostId, vmDefine, { vm: vmSpec(await loadVm(db, params.vmId)) });
  },
  undo: async ({ params, call }) => {
    await call(params.toHostId, vmUndefine, { vmId: params.vmId });
  },
});

export const vmRehome = defineTask({
  kind: 'vm-rehome',
  cancellable: false,
  steps: [release, define],
  undone: async ({ tx, params, now }) => {
    await vms.update(tx, params.vmId, { hostId: params.fromHostId, reservedHostId: null }, { now });
  },
});
