/**
 * Admission control: what takes room that is kept for the VMs of failed hosts is refused, or told, as the cluster says. Looked at
 * in the transaction of the change, after its rows are written, so that any number of changes at once keep the promise.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { admissionOperations } from '@kvasir/api/resources/admission.ts';
import { judgeAdmission } from '@kvasir/control/ha/admission.ts';
import { haPolicyOf } from '../store/ha-settings.ts';
import { requestsFor } from '../tasks/ha-placement.ts';
import { admissionPolicy, readAdmissionWorld } from '../tasks/admission-world.ts';
import { isOperator } from './access.ts';
import type { Change, ReadService } from './call.ts';
import { announce } from './changes.ts';
import { findCluster } from './clusters.ts';

/** Call it when the rows say what is to be. @throws no-room-for-failover */
export async function requireAdmission(
  change: Change,
  vm: { readonly id: string; readonly name: string; readonly projectId: string; readonly clusterId: string },
): Promise<void> {
  const policy = await haPolicyOf(change.tx, vm.clusterId);
  if (policy.admission === 'off') return;
  const verdict = judgeAdmission(await readAdmissionWorld(change.tx, vm.clusterId), admissionPolicy(policy));
  if (verdict.holds) return;
  if (policy.admission === 'enforce') {
    for (const { request } of await requestsFor(change.tx, [vm.id]))
      change.env.wishes.note(vm.clusterId, { name: vm.name, request });
    // Tenants see no hosts.
    const seesHosts = change.actor !== undefined && isOperator(change.actor);
    const reasons = seesHosts ? verdict.because : 'what is left is kept for that';
    throw new KvasirError('no-room-for-failover', { reasons });
  }
  await announce(change, {
    kind: 'ha.no-room-for-failover',
    severity: 'warning',
    message: `With VM ${vm.name} the cluster has no room for the VMs of a failed host: ${verdict.because}`,
    target: { kind: 'cluster', id: vm.clusterId, name: (await findCluster(change, vm.clusterId)).name },
  });
}

export const showAdmission: ReadService<typeof admissionOperations.showAdmission> = async (call, { params }) => {
  const cluster = await findCluster(call, params.cluster);
  const policy = await haPolicyOf(call.db, cluster.id);
  const verdict = judgeAdmission(await readAdmissionWorld(call.db, cluster.id), admissionPolicy(policy));
  return {
    mode: policy.admission,
    by: policy.admissionBy,
    hostFailures: policy.admissionHostFailures,
    share: policy.admissionShare,
    spareHosts: [...policy.admissionSpareHosts],
    holds: verdict.holds,
    because: verdict.because,
    failures: verdict.cases.map(({ hostNames, vms, homeless }) => ({
      hosts: [...hostNames],
      vms,
      homeless: homeless.map(({ vmId, name, memoryMib, reason }) => ({ vmId, vmName: name, memoryMib, reason })),
    })),
  };
};
