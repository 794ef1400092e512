/** Organizations. A user sees those that hold one of its projects or that it administers. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { organizationOperations } from '@kvasir/api/resources/organization.ts';
import { type OrganizationRow, organizationMembers, organizations } from '../store/organizations.ts';
import { projects } from '../store/projects.ts';
import { users } from '../store/users.ts';
import { actorOf, byNameOrId, isOperator, organizationOf } from './access.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { announce, announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { listMembers } from './members.ts';
import { findUser } from './users.ts';
import { versionedView } from './views.ts';

export const listOrganizations: ReadService<typeof organizationOperations.list> = async (call, { query }) => {
  const { name, ...paging } = query;
  const page = await organizations.list(call.db, {
    sort: 'name',
    ...paging,
    where: { name, id: await visibleIds(call) },
  });
  return { ...page, items: page.items.map(organizationView) };
};

export const getOrganization: ReadService<typeof organizationOperations.get> = async (call, { params }) =>
  organizationView(await organizationOf(call, params.organization));

export const createOrganization: ChangeService<typeof organizationOperations.create> = async (change, { body }) => {
  checkName(body.name);
  const row: OrganizationRow = { ...fresh(change), name: body.name, description: body.description ?? '' };
  await organizations.insert(change.tx, row);
  await announceLife(change, 'created', organizations.kind, row);
  return organizationView(row);
};

export const updateOrganization: ChangeService<typeof organizationOperations.update> = async (change, request) => {
  checkName(request.body.name);
  const row = await organizationOf(change, request.params.organization);
  return organizationView(await updateRow(change, organizations, row, request.body));
};

export const deleteOrganization: ChangeService<typeof organizationOperations.delete> = async (change, { params }) => {
  const row = await organizationOf(change, params.organization);
  checkRevision(change, organizations.kind, row);
  const count = await projects.count(change.tx, { organizationId: row.id });
  if (count > 0)
    throw new KvasirError('in-use', { kind: organizations.kind, name: row.name, by: `${count} project(s)` });
  await organizations.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', organizations.kind, row);
  return null;
};

export const listOrganizationMembers: ReadService<typeof organizationOperations.members> = async (
  call,
  { params, query },
) => listMembers(call.db, { organizationId: (await organizationOf(call, params.organization)).id }, query);

export const setOrganizationMember: ChangeService<typeof organizationOperations.setMember> = async (
  change,
  { params, body },
) => {
  const organization = await organizationOf(change, params.organization);
  checkRevision(change, organizations.kind, organization);
  const user = await findUser(change, params.user);
  const row = { organizationId: organization.id, userId: user.id, role: body.role, createdAt: change.env.clock.now() };
  await organizationMembers.put(change.tx, row, ['organizationId', 'userId']);
  await announce(change, {
    kind: 'organization.member-set',
    message: `${user.name} is ${body.role} of organization ${organization.name}`,
    target: { kind: 'organization', id: organization.id, name: organization.name },
  });
  return { userId: user.id, userName: user.name, role: body.role };
};

export const removeOrganizationMember: ChangeService<typeof organizationOperations.removeMember> = async (
  change,
  { params },
) => {
  const organization = await organizationOf(change, params.organization);
  checkRevision(change, organizations.kind, organization);
  const user = await users.find(change.tx, byNameOrId(params.user));
  const key = { organizationId: organization.id, userId: user?.id ?? '' };
  if (!user || (await organizationMembers.remove(change.tx, key)) === 0) {
    throw new KvasirError('not-found', { kind: organizationMembers.kind, id: params.user });
  }
  await announce(change, {
    kind: 'organization.member-removed',
    message: `${user.name} is no administrator of organization ${organization.name} any more`,
    target: { kind: 'organization', id: organization.id, name: organization.name },
  });
  return null;
};

/** Ids of the organizations that the actor sees; undefined: all. */
async function visibleIds(call: Call): Promise<string[] | undefined> {
  const actor = actorOf(call);
  if (isOperator(actor)) return undefined;
  const own = await projects.select(call.db, { id: [...actor.projectRoles.keys()] });
  return [...new Set([...actor.organizationIds, ...own.map(({ organizationId }) => organizationId)])];
}

function organizationView(row: OrganizationRow) {
  return { ...versionedView(row), name: row.name, description: row.description };
}
