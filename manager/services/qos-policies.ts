/** QoS policies: operators make them, for their project's ports or (shared) for everybody's. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { qosPolicyOperations } from '@kvasir/api/resources/qos-policy.ts';
import { sql } from 'kysely';
import { ports } from '../store/networks.ts';
import { type QosPolicyRow, qosPolicies, type Rate } from '../store/port-policies.ts';
import { ownedRow, projectOf } from './access.ts';
import type { Call, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, nudging, updateRow } from './changes.ts';
import { versionedView } from './views.ts';

export const listQosPolicies: ReadService<typeof qosPolicyOperations.list> = async (call, { query }) => {
  const { project, name, ...paging } = query;
  const { id } = await projectOf(call, project);
  const matching = [sql<boolean>`(project_id = ${id} or shared = 1)`];
  const page = await qosPolicies.list(call.db, { sort: 'name', ...paging, where: { name }, matching });
  return { ...page, items: await Promise.all(page.items.map((row) => policyView(call, row))) };
};

export const getQosPolicy: ReadService<typeof qosPolicyOperations.get> = async (call, { params, query }) =>
  policyView(call, await ownedRow(call, qosPolicies, params.qosPolicy, query.project, { openTo: { shared: true } }));

export const createQosPolicy: OpenService<typeof qosPolicyOperations.create> = nudging(
  async (change, { query, body }) => {
    const project = await projectOf(change, query.project);
    checkName(body.name);
    const row: QosPolicyRow = {
      ...fresh(change),
      name: body.name,
      description: body.description ?? '',
      labels: body.labels ?? {},
      projectId: project.id,
      shared: body.shared ?? false,
      ...rates(body, { fromVm: null, toVm: null }),
      dscp: body.dscp ?? null,
    };
    await qosPolicies.insert(change.tx, row);
    await announceLife(change, 'created', qosPolicies.kind, row);
    return policyView(change, row);
  },
);

export const updateQosPolicy: OpenService<typeof qosPolicyOperations.update> = nudging(
  async (change, { params, query, body }) => {
    checkName(body.name);
    const row = await ownedRow(change, qosPolicies, params.qosPolicy, query.project);
    const { fromVmKbps, fromVmBurstKb, toVmKbps, toVmBurstKb, ...changes } = body;
    const limits = rates({ fromVmKbps, fromVmBurstKb, toVmKbps, toVmBurstKb }, row);
    return policyView(change, await updateRow(change, qosPolicies, row, { ...changes, ...limits }));
  },
);

export const deleteQosPolicy: OpenService<typeof qosPolicyOperations.delete> = nudging(
  async (change, { params, query }) => {
    const row = await ownedRow(change, qosPolicies, params.qosPolicy, query.project);
    checkRevision(change, qosPolicies.kind, row);
    const count = await ports.count(change.tx, { qosPolicyId: row.id });
    if (count > 0) throw new KvasirError('in-use', { kind: qosPolicies.kind, name: row.name, by: `${count} port(s)` });
    await qosPolicies.remove(change.tx, { id: row.id });
    await announceLife(change, 'deleted', qosPolicies.kind, row);
    return null;
  },
);

interface AskedRates {
  readonly fromVmKbps?: number | null | undefined;
  readonly fromVmBurstKb?: number | undefined;
  readonly toVmKbps?: number | null | undefined;
  readonly toVmBurstKb?: number | undefined;
}

/** @throws invalid-request for a burst without a rate */
function rates(
  asked: AskedRates,
  before: Pick<QosPolicyRow, 'fromVm' | 'toVm'>,
): Pick<QosPolicyRow, 'fromVm' | 'toVm'> {
  const one = (which: 'fromVm' | 'toVm'): Rate | null => {
    const [kbps, burst] = [asked[`${which}Kbps`], asked[`${which}BurstKb`]];
    const rateKbps = kbps === undefined ? (before[which]?.rateKbps ?? null) : kbps;
    if (rateKbps === null) {
      if (burst !== undefined) throw invalidField(`/body/${which}BurstKb`, `needs ${which}Kbps`);
      return null;
    }
    const kept = kbps === undefined ? before[which]?.burstKb : undefined;
    return { rateKbps, burstKb: burst ?? kept ?? Math.max(64, Math.round(rateKbps / 10)) };
  };
  return { fromVm: one('fromVm'), toVm: one('toVm') };
}

async function policyView(call: Call, row: QosPolicyRow) {
  const { name, description, labels, projectId, shared, fromVm, toVm, dscp } = row;
  const limits = {
    fromVmKbps: fromVm?.rateKbps ?? null,
    fromVmBurstKb: fromVm?.burstKb ?? null,
    toVmKbps: toVm?.rateKbps ?? null,
    toVmBurstKb: toVm?.burstKb ?? null,
  };
  const count = await ports.count(call.db, { qosPolicyId: row.id });
  const facts = { name, description, labels: { ...labels }, projectId, shared, ...limits, dscp };
  return { ...versionedView(row), ...facts, ports: count };
}
