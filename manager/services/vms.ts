/** VMs: finding, listing and describing them. What touches a host is in `vm-create`, `vm-power`, `vm-devices`, `vm-migrate`. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import { type VmAction, vmAllows } from '@kvasir/api/resources/vm-rules.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { sql } from 'kysely';
import { hosts } from '../store/hosts.ts';
import { taskIdOf } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { actorOf, byNameOrId, forbiddenField, isId, isOperator, notFoundAt, ownedRow, projectOf } from './access.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { checkName, checkRevision, saysSomething, updateRow } from './changes.ts';
import { changeVmHa, followRename } from './ha-settings.ts';
import { vmView, vmViews } from './vm-views.ts';

/** The trash shows only when it is asked for. */
const live = sql<boolean>`trashed_at is null`;

export const listVms: ReadService<typeof vmOperations.list> = async (call, { query }) => {
  const { project, name, state, host, label, allProjects, ...paging } = query;
  const everywhere = allProjects === true;
  if (everywhere && !isOperator(actorOf(call))) throw forbiddenField(call, '/query/allProjects');
  if (everywhere && project !== undefined) throw invalidField('/query/project', 'does not go with allProjects');
  if (everywhere) call.scope.checked = true;
  const projectId = everywhere ? undefined : (await projectOf(call, project)).id;
  const hostId = host === undefined ? undefined : await hostFilter(call, host);
  const page = await vms.list(call.db, {
    sort: 'name',
    ...paging,
    where: { projectId, name, state, hostId },
    matching: [...(state === 'trashed' ? [] : [live]), ...(label === undefined ? [] : [hasLabel(call, label)])],
  });
  return { ...page, items: await vmViews(call, page.items) };
};

export const getVm: ReadService<typeof vmOperations.get> = async (call, { params, query }) =>
  vmView(call, await findVm(call, params.vm, query.project));

/** Names and groups take effect at the next definition on a host; nothing here waits for one. */
export const updateVm: ChangeService<typeof vmOperations.update> = async (change, { params, query, body }) => {
  checkName(body.name);
  const row = await findVm(change, params.vm, query.project);
  await requireAction(change, 'update', row, 'change');
  const { ha, ...changes } = body;
  const updated = await updateRow(change, vms, row, changes, saysSomething(ha));
  if (updated.name !== row.name) await followRename(change, row, updated.name);
  if (saysSomething(ha)) await changeVmHa(change, updated, ha);
  return vmView(change, updated);
};

/** By name: the living one, else the one that went to the trash last. @throws not-found, forbidden */
export async function findVm(call: Call, nameOrId: string, project: string | undefined): Promise<VmRow> {
  if (!isId(nameOrId)) {
    const { id: projectId } = await projectOf(call, project);
    const named = await vms.select(call.db, { projectId, name: nameOrId }, 'trashedAt');
    const found = named.find(({ trashedAt }) => trashedAt === null) ?? named.at(-1);
    if (found) return found;
  }
  return ownedRow(call, vms, nameOrId, project);
}

/** Holds the VM against `If-Match` and the rules of `vm-rules.ts`. @throws stale-revision, busy, wrong-state */
export async function requireAction(call: Call, action: VmAction, row: VmRow, words: string): Promise<void> {
  checkRevision(call, vms.kind, row);
  const task = await taskIdOf(call.db, row.id);
  if (vmAllows(action, { state: row.state, taskId: task })) return;
  if (vmAllows(action, { state: row.state, taskId: null })) {
    throw new KvasirError('busy', { kind: vms.kind, name: row.name, task: task ?? '' });
  }
  const state =
    row.state === 'unknown'
      ? 'unknown (its host is not connected, so it may still be running there)'
      : action === 'delete' && vmAllows('forceDelete', { state: row.state, taskId: null })
        ? `${row.state}: stop it first, or delete it with force`
        : row.state;
  throw new KvasirError('wrong-state', { action: words, kind: vms.kind, name: row.name, state });
}

async function hostFilter(call: Call, nameOrId: string): Promise<string> {
  if (!isOperator(actorOf(call))) throw forbiddenField(call, '/query/host');
  const row = await hosts.find(call.db, byNameOrId(nameOrId));
  if (!row) throw notFoundAt('/query/host', hosts.kind, nameOrId);
  return row.id;
}

function hasLabel(call: Call, label: string) {
  const at = label.indexOf('=');
  const key = label.slice(0, at);
  const value = label.slice(at + 1);
  return call.env.store.kind === 'postgres'
    ? sql<boolean>`(labels::jsonb ->> ${key}) = ${value}`
    : sql<boolean>`exists (select 1 from json_each(vms.labels) as entry where entry.key = ${key} and entry.value = ${value})`;
}
