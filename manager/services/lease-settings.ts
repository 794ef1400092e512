/** Terms of a cluster's leases. A host keeps the stricter terms until its slot shows the new ones, so they may change at any time. */
import { randomBytes } from 'node:crypto';
import { invalidField } from '@kvasir/api/errors.ts';
import type { leaseSettingsOperations } from '@kvasir/api/resources/lease-settings.ts';
import { clusters } from '../store/clusters.ts';
import { type ClusterLeasesRow, clusterLeases, defaultLeases } from '../store/leases.ts';
import type { Call, OpenService, ReadService } from './call.ts';
import { announce, checkRevision, nudging, saysSomething } from './changes.ts';
import { findCluster } from './clusters.ts';

export const getLeaseSettings: ReadService<typeof leaseSettingsOperations.get> = async (call, { params }) =>
  view(await settingsOf(call, (await findCluster(call, params.cluster)).id));

export const updateLeaseSettings: OpenService<typeof leaseSettingsOperations.update> = nudging<
  typeof leaseSettingsOperations.update
>(async (change, { params, body }) => {
  const cluster = await findCluster(change, params.cluster);
  checkRevision(change, clusters.kind, cluster);
  const row = { ...(await settingsOf(change, cluster.id)), ...body };
  if (row.killAfterMs < 3 * row.renewEveryMs) throw invalidField('/body/killAfterMs', 'must be at least 3 renewals');
  if (row.leaseMs < row.killAfterMs + 2000)
    throw invalidField('/body/leaseMs', 'must be killAfterMs and 2000 at least');
  if (!saysSomething(body)) return view(row);
  await clusters.update(change.tx, cluster.id, {}, { now: change.env.clock.now(), revision: cluster.revision });
  await clusterLeases.put(change.tx, row, ['clusterId']);
  await announce(change, {
    kind: 'cluster.leases-changed',
    message: `The leases of cluster ${cluster.name} last ${row.leaseMs} ms, VMs are ended after ${row.killAfterMs} ms`,
    target: { kind: 'cluster', id: cluster.id, name: cluster.name },
  });
  return view(row);
});

async function settingsOf(call: Call, clusterId: string): Promise<ClusterLeasesRow> {
  const row = await clusterLeases.find(call.db, { clusterId });
  return row ?? { clusterId, ...defaultLeases, probeKey: randomBytes(32).toString('base64') };
}

function view({ enabled, renewEveryMs, killAfterMs, leaseMs, probePort }: ClusterLeasesRow) {
  return { enabled, renewEveryMs, killAfterMs, leaseMs, probePort };
}
