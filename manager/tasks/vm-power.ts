/** What the tasks that change only a VM's power have in common: one call, and the state that it answers. */
import { type DomainState, vmDefine } from '@kvasir/api/agent/vm.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { openRestart } from '../store/ha-incidents.ts';
import { openFailure } from '../store/vm-failures.ts';
import { recordVmState } from '../store/vm-state.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { type ApplyContext, defineStep, type Step, type StepContext } from './kind.ts';
import type { TaskParams } from './params.ts';
import { hostOf, loadVm, vmSpec } from './vm-spec.ts';

interface VmParams {
  readonly vmId: string;
}

type PowerKind = 'vm-start' | 'vm-stop' | 'vm-reset' | 'vm-pause' | 'vm-resume' | 'vm-suspend';
type Act<K extends PowerKind> = (
  context: StepContext<TaskParams<K>>,
  hostId: string,
) => Promise<{ readonly state: DomainState }>;

/** Calls the VM's host and records the state that comes back; the step is named like the kind. */
export function powerStep<K extends PowerKind>(kind: K, act: Act<K>, reason: string | null = null) {
  return defineStep(kind, {
    name: kind.slice('vm-'.length),
    run: async (context) => await act(context, hostOf(await vms.get(context.db, context.params.vmId))),
    apply: async ({ tx, params, task, now }, answer) => {
      await recordVmState(tx, params.vmId, { state: answer.state, reason, now, taskId: task.id });
    },
  });
}

/** Makes the domain's definition what the rows say, but not under a saved memory image, which belongs to the old one. */
export function defineStopped<P extends VmParams>(): Step<P, null> {
  return {
    name: 'define',
    run: async ({ db, params, call }) => {
      const rows = await loadVm(db, params.vmId);
      if (rows.vm.state !== 'suspended') await call(hostOf(rows.vm), vmDefine, { vm: vmSpec(rows) });
      return null;
    },
  };
}

/** The task came to nothing: what is wanted is again what is seen. Not where high availability tried: it still wants it to run. */
export async function wantWhatIsSeen({ tx, params, task, now }: ApplyContext<VmParams>): Promise<void> {
  if ((await openRestart(tx, params.vmId)) !== undefined || (await openFailure(tx, params.vmId)) !== undefined) return;
  const vm = await vms.get(tx, params.vmId);
  const desiredState = desiredFor(vm, task.kind);
  if (desiredState !== vm.desiredState) await vms.update(tx, vm.id, { desiredState }, { now });
}

/** Of a VM whose host is away nothing is seen. It ran, but for one that was to be started; high availability shall find that wanted. */
function desiredFor({ state, desiredState }: VmRow, kind: string): Vm['desiredState'] {
  if (state === 'unknown' && !['vm-start', 'vm-stop'].includes(kind))
    return desiredState === 'suspended' ? 'running' : desiredState;
  return state === 'running' || state === 'paused' || state === 'suspended' ? state : 'stopped';
}
