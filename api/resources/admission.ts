/** Whether a cluster keeps its promise to have room for the VMs of failed hosts. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { closed, Id, Name, NameOrId } from '../schema.ts';
import { HaPolicy } from './ha-policy.ts';

export const Admission = closed({
  mode: HaPolicy.properties.admission,
  by: HaPolicy.properties.admissionBy,
  hostFailures: HaPolicy.properties.admissionHostFailures,
  share: HaPolicy.properties.admissionShare,
  spareHosts: HaPolicy.properties.admissionSpareHosts,
  holds: Type.Boolean(),
  because: Type.String(),
  failures: Type.Array(
    closed({
      hosts: Type.Array(Name),
      vms: Type.Integer({ description: 'VMs that would be restarted' }),
      homeless: Type.Array(
        closed({ vmId: Id, vmName: Type.String(), memoryMib: Type.Integer(), reason: Type.String() }),
        { description: 'Those of them that no other host would take' },
      ),
    }),
    { description: 'Failures of hosts that would not go well' },
  ),
});
export type Admission = Static<typeof Admission>;

export const admissionOperations = resource('cluster', {
  showAdmission: operation({
    method: 'GET',
    path: '/clusters/{cluster}/admission',
    summary:
      'Say whether the cluster has room now for the VMs of hosts that fail, and if not, which would not fit and why',
    access: 'system.viewer',
    params: closed({ cluster: NameOrId }),
    response: Admission,
    cli: { name: 'admission' },
  }),
});
