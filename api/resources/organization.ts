/** An organization holds projects and their people (Keystone: a domain). `default` exists from the first start. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Description, listQuery, Name, NameOrId, page } from '../schema.ts';

export const Organization = closed({ ...common, name: Name, description: Description });
export type Organization = Static<typeof Organization>;

const params = closed({ organization: NameOrId });

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
});
