/**
 * Changing processors and memory. While the task runs the VM counts with the larger of both sizes, so neither end overcommits.
 * A running VM never gets less memory than it has.
 */
import { invalidField } from '@kvasir/api/errors.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { projectOf } from './access.ts';
import { requireAdmission } from './admission.ts';
import type { ChangeService } from './call.ts';
import { checkQuota } from './quota.ts';
import { startTask } from './tasks.ts';
import { checkSizes } from './vm-create.ts';
import { about, requireRoom } from './vm-power.ts';
import { findVm, requireAction } from './vms.ts';

type Sizes = Pick<VmRow, 'cpus' | 'maxCpus' | 'memoryMib' | 'maxMemoryMib'>;

export const resizeVm: ChangeService<typeof vmOperations.resize> = async (change, { params, query, body }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'resize', vm, 'resize');
  const from = sizesOf(vm);
  const stopped = vm.state === 'stopped';
  const to = stopped ? grownMaxima({ ...from, ...body }, body) : { ...from, ...body };
  for (const field of ['maxCpus', 'maxMemoryMib'] as const) {
    if (!stopped && to[field] !== from[field])
      throw invalidField(`/body/${field}`, 'can be changed only while the VM is stopped');
  }
  if (!stopped && to.cpus > to.maxCpus) {
    throw invalidField(
      '/body/cpus',
      `is above maxCpus, ${to.maxCpus}, which can be raised only while the VM is stopped`,
    );
  }
  if (!stopped && to.memoryMib > to.maxMemoryMib) {
    throw invalidField(
      '/body/memoryMib',
      `is above maxMemoryMib, ${to.maxMemoryMib}, which can be raised only while it is stopped`,
    );
  }
  // The guest would keep what it has until its next start, and the host would be promised twice meanwhile.
  if (!stopped && to.memoryMib < from.memoryMib) {
    throw invalidField(
      '/body/memoryMib',
      `is below ${from.memoryMib}; memory can be taken away only while it is stopped`,
    );
  }
  checkSizes(to);
  const project = await projectOf(change, vm.projectId);
  await checkQuota(change.tx, project, { cpus: to.cpus - from.cpus, memoryMib: to.memoryMib - from.memoryMib });
  const grows = to.cpus > from.cpus || to.memoryMib > from.memoryMib;
  if (!stopped && grows)
    await requireRoom(change, vm, {
      cpus: Math.max(from.cpus, to.cpus),
      memoryMib: Math.max(from.memoryMib, to.memoryMib),
    });
  await vms.update(change.tx, vm.id, larger(from, to), { now: change.env.clock.now() });
  if (!stopped && grows) await requireAdmission(change, vm);
  return startTask(change, { kind: 'vm-resize', params: { vmId: vm.id, from, to }, ...about(vm) });
};

/** Of a stopped VM the maxima follow what is asked, unless they are asked for themselves. */
function grownMaxima(sizes: Sizes, asked: Partial<Sizes>): Sizes {
  return {
    ...sizes,
    maxCpus: asked.maxCpus ?? Math.max(sizes.maxCpus, sizes.cpus),
    maxMemoryMib: asked.maxMemoryMib ?? Math.max(sizes.maxMemoryMib, sizes.memoryMib),
  };
}

function sizesOf({ cpus, maxCpus, memoryMib, maxMemoryMib }: VmRow): Sizes {
  return { cpus, maxCpus, memoryMib, maxMemoryMib };
}

function larger(a: Sizes, b: Sizes): Sizes {
  return {
    cpus: Math.max(a.cpus, b.cpus),
    maxCpus: Math.max(a.maxCpus, b.maxCpus),
    memoryMib: Math.max(a.memoryMib, b.memoryMib),
    maxMemoryMib: Math.max(a.maxMemoryMib, b.maxMemoryMib),
  };
}
