/** An organization holds projects and their people (Keystone: a domain). `default` exists from the first start. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Description, Id, listQuery, Name, NameOrId, oneOf, page } from '../schema.ts';

export const Organization = closed({ ...common, name: Name, description: Description });
export type Organization = Static<typeof Organization>;

export const OrganizationMember = closed({ userId: Id, userName: Name, role: oneOf(['admin'] as const) });
export type OrganizationMember = Static<typeof OrganizationMember>;

const params = closed({ organization: NameOrId });
const memberParams = closed({ organization: NameOrId, user: NameOrId });

export const organizationOperations = resource('organization', {
  list: operation({
    method: 'GET',
    path: '/organizations',
    summary: 'List the organizations that one can see',
    access: 'session',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name) }),
    response: page(Organization),
    cli: { columns: ['id', 'name', 'description'] },
  }),
  get: operation({
    method: 'GET',
    path: '/organizations/{organization}',
    summary: 'Show an organization',
    access: 'organization.admin',
    params,
    response: Organization,
  }),
  create: operation({
    method: 'POST',
    path: '/organizations',
    summary: 'Create an organization',
    access: 'system.admin',
    body: closed({ name: Name, description: Type.Optional(Description) }),
    response: Organization,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/organizations/{organization}',
    summary: 'Rename or describe an organization',
    access: 'system.admin',
    params,
    body: closed({ name: Type.Optional(Name), description: Type.Optional(Description) }),
    response: Organization,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/organizations/{organization}',
    summary: 'Delete an organization without projects',
    access: 'system.admin',
    params,
    response: noContent,
  }),
  members: operation({
    method: 'GET',
    path: '/organizations/{organization}/members',
    summary: "List an organization's administrators",
    access: 'organization.admin',
    params,
    query: listQuery(['userName'], {}),
    response: page(OrganizationMember),
    cli: { columns: ['userName', 'role'] },
  }),
  setMember: operation({
    method: 'PUT',
    path: '/organizations/{organization}/members/{user}',
    summary: 'Make a user administrator of an organization and all its projects',
    access: 'organization.admin',
    params: memberParams,
    body: closed({ role: OrganizationMember.properties.role }),
    response: OrganizationMember,
    cli: { positional: 'role' },
  }),
  removeMember: operation({
    method: 'DELETE',
    path: '/organizations/{organization}/members/{user}',
    summary: "Take an organization's administration away from a user",
    access: 'organization.admin',
    params: memberParams,
    response: noContent,
  }),
});
