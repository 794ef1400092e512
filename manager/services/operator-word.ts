/**
 * Whose word counts: what may prove a host dead is the cluster's policy, for an operator's word as for everything else. Whether
 * anything speaks against it is judged in `host-confirm-off.ts`.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { hostOperations } from '@kvasir/api/resources/host.ts';
import { clusters } from '../store/clusters.ts';
import { haPolicyOf } from '../store/ha-settings.ts';
import type { ChangeService } from './call.ts';
import { confirmHostOff } from './host-confirm-off.ts';
import { findHost } from './hosts.ts';

/** @throws unsupported when the policy leaves the word of an operator out; and as `confirmHostOff` does */
export const takeOperatorWord: ChangeService<typeof hostOperations.confirmOff> = async (change, request) => {
  const { clusterId } = await findHost(change, request.params.host);
  const { fencing } = await haPolicyOf(change.tx, clusterId);
  if (!fencing.includes('operator')) {
    const { name } = await clusters.get(change.tx, clusterId);
    const methods = fencing.length === 0 ? 'nothing' : fencing.join(', ');
    const reason = `The policy ha.fencing of cluster "${name}" takes no operator's word that a host is off (${methods})`;
    throw new KvasirError('unsupported', { reason });
  }
  return await confirmHostOff(change, request);
};
