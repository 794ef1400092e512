/** Projects, their quota and their members. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { type projectOperations, unlimitedQuota } from '@kvasir/api/resources/project.ts';
import { sql } from 'kysely';
import { images } from '../store/images.ts';
import { networks } from '../store/networks.ts';
import { organizations } from '../store/organizations.ts';
import { projectMembers, type ProjectRow, projects } from '../store/projects.ts';
import { users } from '../store/users.ts';
import { qosPolicies } from '../store/port-policies.ts';
import { floatingAddresses, routers } from '../store/routers.ts';
import { vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { usageOf } from '../store/usage.ts';
import { actorOf, byNameOrId, defaultProjectName, isOperator, projectOf } from './access.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { announce, announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { listMembers } from './members.ts';
import { findUser } from './users.ts';
import { versionedView } from './views.ts';

export const listProjects: ReadService<typeof projectOperations.list> = async (call, { query }) => {
  const { name, organization, ...paging } = query;
  const actor = actorOf(call);
  const owner = organization === undefined ? undefined : await organizations.find(call.db, byNameOrId(organization));
  if (organization !== undefined && !owner) return { items: [], nextCursor: null };
  const page = await projects.list(call.db, {
    sort: 'name',
    ...paging,
    where: { name, organizationId: owner?.id },
    matching: isOperator(actor) ? [] : [isOneOf([...actor.projectRoles.keys()], [...actor.organizationIds])],
  });
  return { ...page, items: await projectViews(call, page.items) };
};

export const getProject: ReadService<typeof projectOperations.get> = async (call, { params }) =>
  projectView(call, await projectOf(call, params.project));

export const createProject: ChangeService<typeof projectOperations.create> = async (change, { body }) => {
  checkName(body.name);
  const asked = body.organization ?? defaultProjectName;
  const organization = await organizations.find(change.tx, byNameOrId(asked));
  if (!organization) throw new KvasirError('not-found', { kind: organizations.kind, id: asked });
  const row: ProjectRow = {
    ...fresh(change),
    name: body.name,
    organizationId: organization.id,
    description: body.description ?? '',
    quota: { ...unlimitedQuota, ...body.quota },
  };
  await projects.insert(change.tx, row);
  await announceLife(change, 'created', projects.kind, row);
  return projectView(change, row);
};

export const updateProject: ChangeService<typeof projectOperations.update> = async (change, { params, body }) => {
  checkName(body.name);
  const row = await projectOf(change, params.project);
  const { quota, ...plain } = body;
  const changes = quota === undefined ? plain : { ...plain, quota: { ...row.quota, ...quota } };
  return projectView(change, await updateRow(change, projects, row, changes));
};

export const deleteProject: ChangeService<typeof projectOperations.delete> = async (change, { params }) => {
  const row = await projectOf(change, params.project);
  checkRevision(change, projects.kind, row);
  for (const table of [vms, volumes, images, floatingAddresses, routers, networks, qosPolicies]) {
    const count = await table.count(change.tx, { projectId: row.id });
    if (count > 0)
      throw new KvasirError('in-use', { kind: projects.kind, name: row.name, by: `${count} ${table.kind}(s)` });
  }
  await projects.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', projects.kind, row);
  return null;
};

export const listProjectMembers: ReadService<typeof projectOperations.members> = async (call, { params, query }) =>
  listMembers(call.db, { projectId: (await projectOf(call, params.project)).id }, query);

export const setProjectMember: ChangeService<typeof projectOperations.setMember> = async (change, { params, body }) => {
  const project = await projectOf(change, params.project);
  checkRevision(change, projects.kind, project);
  const user = await findUser(change, params.user);
  const row = { projectId: project.id, userId: user.id, role: body.role, createdAt: change.env.clock.now() };
  await projectMembers.put(change.tx, row, ['projectId', 'userId']);
  await announce(change, {
    kind: 'project.member-set',
    message: `${user.name} is ${body.role} of project ${project.name}`,
    target: { kind: 'project', id: project.id, name: project.name },
    projectId: project.id,
  });
  return { userId: user.id, userName: user.name, role: body.role };
};

export const removeProjectMember: ChangeService<typeof projectOperations.removeMember> = async (change, { params }) => {
  const project = await projectOf(change, params.project);
  checkRevision(change, projects.kind, project);
  const user = await users.find(change.tx, byNameOrId(params.user));
  const removed = user ? await projectMembers.remove(change.tx, { projectId: project.id, userId: user.id }) : 0;
  if (!user || removed === 0) throw new KvasirError('not-found', { kind: projectMembers.kind, id: params.user });
  await announce(change, {
    kind: 'project.member-removed',
    message: `${user.name} is no member of project ${project.name} any more`,
    target: { kind: 'project', id: project.id, name: project.name },
    projectId: project.id,
  });
  return null;
};

function isOneOf(projectIds: readonly string[], organizationIds: readonly string[]) {
  const within = (column: string, ids: readonly string[]) =>
    ids.length === 0 ? sql<boolean>`1 = 0` : sql<boolean>`${sql.ref(column)} in (${sql.join([...ids])})`;
  return sql<boolean>`(${within('id', projectIds)} or ${within('organization_id', organizationIds)})`;
}

async function projectView(call: Call, row: ProjectRow) {
  return (await projectViews(call, [row]))[0]!;
}

async function projectViews(call: Call, rows: readonly ProjectRow[]) {
  const usage = await usageOf(
    call.db,
    rows.map(({ id }) => id),
  );
  return rows.map((row) => {
    const { name, organizationId, description, quota } = row;
    return { ...versionedView(row), name, organizationId, description, quota, used: usage.get(row.id)! };
  });
}
