/**
 * Starts a VM on another host than the one where it ran. It takes evidence that it does not run there any more: a proof that the
 * host is dead (`proofId`), or, from a host that is connected, that host's agreement to forget the VM, which it refuses while
 * the VM runs.
 *
 * Invariants: the VM belongs to the new host before anything is done there, and in the transaction that makes it so the proof is
 * valid and the old host not up; until then nothing has happened, and after a failure it belongs to the old host again, with
 * nothing left on the new one.
 */
import { vmDefine, vmStart, vmUndefine } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { covers } from '@kvasir/control/ha/fence-proof.ts';
import { fenceProofs, proofOf } from '../store/fence-proofs.ts';
import { hosts } from '../store/hosts.ts';
import { recordVmState } from '../store/vm-state.ts';
import { vms } from '../store/vms.ts';
import { type ApplyContext, defineStep, defineTask } from './kind.ts';
import { requireNowhereElse } from './nowhere-else.ts';
import type { TaskParams } from './params.ts';
import { poolsOf } from './proven-dead.ts';
import { powerOff } from './vm-power-off.ts';
import { loadVm, vmSpec } from './vm-spec.ts';

type Params = TaskParams<'vm-restart'>;

/** Without a proof: the old host forgets the VM, or says that it runs. */
const release = defineStep('vm-restart', {
  name: 'release',
  run: async ({ params, call }) => {
    if (params.proofId === null) await call(params.fromHostId, vmUndefine, { vmId: params.vmId });
  },
  undo: async ({ db, params, call }) => {
    if (params.proofId !== null) return;
    await call(params.fromHostId, vmDefine, { vm: vmSpec(await loadVm(db, params.vmId)) });
  },
});

const claim = defineStep('vm-restart', {
  name: 'claim',
  run: async () => {},
  apply: async (context) => {
    const { tx, params, task, now } = context;
    const vm = await vms.get(tx, params.vmId);
    if (vm.hostId !== params.fromHostId) throw refused(vm.name, 'it belongs to another host by now');
    const from = await hosts.get(tx, params.fromHostId);
    if (params.proofId !== null) await requireProof(context, vm.name, from);
    await vms.update(tx, vm.id, { hostId: params.toHostId, reservedHostId: null }, { now });
    const reason = params.proofId === null ? `moves away from ${from.name}` : `${from.name} is dead`;
    await recordVmState(tx, vm.id, { state: 'stopped', reason, now, taskId: task.id });
  },
});

const define = defineStep('vm-restart', {
  name: 'define',
  run: async ({ db, params, call }) => {
    return await call(params.toHostId, vmDefine, { vm: vmSpec(await loadVm(db, params.vmId)) });
  },
  undo: async ({ params, call }) => {
    await call(params.toHostId, vmUndefine, { vmId: params.vmId });
  },
});

const start = defineStep('vm-restart', {
  name: 'start',
  run: async ({ db, params, call }) => {
    await requireNowhereElse(db, params.vmId, params.toHostId, 'restart');
    return await call(params.toHostId, vmStart, { vmId: params.vmId, paused: params.paused });
  },
  apply: async ({ tx, params, task, now }, answer) => {
    await recordVmState(tx, params.vmId, { state: answer.state, reason: null, now, taskId: task.id });
  },
  undo: async ({ params, call }) => {
    await powerOff({ call }, params.toHostId, params.vmId);
  },
});

export const vmRestart = defineTask({
  kind: 'vm-restart',
  cancellable: false,
  steps: [release, claim, define, start],
  undone: async ({ tx, params, task, now }, because) => {
    const vm = await vms.get(tx, params.vmId);
    await vms.update(tx, vm.id, { hostId: params.fromHostId, reservedHostId: null }, { now });
    // Of a host that was proven dead nothing is known: should it be back, its report tells the state.
    const state = params.proofId === null ? 'stopped' : 'unknown';
    await recordVmState(tx, vm.id, { state, reason: because.message, now, taskId: task.id });
  },
});

async function requireProof(
  { tx, params }: ApplyContext<Params>,
  vmName: string,
  from: { readonly name: string; readonly state: string },
): Promise<void> {
  const row = await fenceProofs.find(tx, { id: params.proofId! });
  if (row === undefined || row.endedAt !== null || row.hostId !== params.fromHostId) {
    throw refused(vmName, `nothing proves any more that ${from.name} is dead`);
  }
  if (from.state === 'up') throw refused(vmName, `${from.name} is up`);
  if (!covers(proofOf(row), await poolsOf(tx, params.vmId))) {
    throw refused(vmName, `the proof about ${from.name} says nothing of this VM's disks`);
  }
}

function refused(name: string, reason: string): KvasirError {
  return new KvasirError('wrong-state', { action: 'restart', kind: vms.kind, name, state: reason });
}
