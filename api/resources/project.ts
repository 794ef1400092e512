/** A project owns everything that a tenant has; people see it as a virtual data centre (Keystone: a project). `default` exists. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Description, Id, listQuery, Name, NameOrId, nullable, oneOf, page } from '../schema.ts';

export const ProjectRole = oneOf(['viewer', 'member', 'admin'] as const);

const limit = (what: string) =>
  nullable(Type.Integer({ minimum: 0, maximum: 1_000_000_000, description: `${what}; null: no limit` }));
export const Quota = closed({
  vms: limit('Virtual machines'),
  cpus: limit('Virtual processors of all VMs'),
  memoryMib: limit('Memory of all VMs, MiB'),
  volumes: limit('Volumes'),
  storageGib: limit('Virtual size of all volumes and images, GiB'),
  networks: limit('Networks'),
  securityGroups: limit('Security groups'),
  routers: limit('Routers'),
  floatingAddresses: limit('Floating addresses'),
  ports: limit('NICs of all VMs, and the VLANs of trunks'),
});
export type Quota = Static<typeof Quota>;

export const unlimitedQuota: Quota = {
  vms: null,
  cpus: null,
  memoryMib: null,
  volumes: null,
  storageGib: null,
  networks: null,
  securityGroups: null,
  routers: null,
  floatingAddresses: null,
  ports: null,
};

export const Project = closed({
  ...common,
  name: Name,
  organizationId: Id,
  description: Description,
  quota: Quota,
  used: closed({
    vms: Type.Integer(),
    cpus: Type.Integer(),
    memoryMib: Type.Integer(),
    volumes: Type.Integer(),
    storageGib: Type.Number(),
    networks: Type.Integer(),
    securityGroups: Type.Integer(),
    routers: Type.Integer(),
    floatingAddresses: Type.Integer(),
    ports: Type.Integer(),
  }),
});
export type Project = Static<typeof Project>;

export const Member = closed({ userId: Id, userName: Name, role: ProjectRole });
export type Member = Static<typeof Member>;

const params = closed({ project: NameOrId });
const memberParams = closed({ project: NameOrId, user: NameOrId });

export const projectOperations = resource('project', {
  list: operation({
    method: 'GET',
    path: '/projects',
    summary: 'List the projects that one can see',
    access: 'session',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name), organization: Type.Optional(NameOrId) }),
    response: page(Project),
    cli: { columns: ['id', 'name', 'used.vms', 'used.cpus', 'used.memoryMib'] },
  }),
  get: operation({
    method: 'GET',
    path: '/projects/{project}',
    summary: 'Show a project, its quota and its use',
    access: 'project.viewer',
    params,
    response: Project,
  }),
  create: operation({
    method: 'POST',
    path: '/projects',
    summary: 'Create a project in an organization',
    access: 'system.admin',
    body: closed({
      name: Name,
      organization: Type.Optional(NameOrId),
      description: Type.Optional(Description),
      quota: Type.Optional(Type.Partial(Quota, { additionalProperties: false })),
    }),
    response: Project,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/projects/{project}',
    summary: 'Rename or describe a project, or change its quota',
    access: 'system.admin',
    params,
    body: closed({
      name: Type.Optional(Name),
      description: Type.Optional(Description),
      quota: Type.Optional(Type.Partial(Quota, { additionalProperties: false })),
    }),
    response: Project,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/projects/{project}',
    summary: 'Delete an empty project',
    access: 'system.admin',
    params,
    response: noContent,
  }),
  members: operation({
    method: 'GET',
    path: '/projects/{project}/members',
    summary: "List a project's members",
    access: 'project.viewer',
    params,
    query: listQuery(['userName'], {}),
    response: page(Member),
    cli: { columns: ['userName', 'role'] },
  }),
  setMember: operation({
    method: 'PUT',
    path: '/projects/{project}/members/{user}',
    summary: "Add a member or change a member's role",
    access: 'project.admin',
    params: memberParams,
    body: closed({ role: ProjectRole }),
    response: Member,
    cli: { positional: 'role' },
  }),
  removeMember: operation({
    method: 'DELETE',
    path: '/projects/{project}/members/{user}',
    summary: 'Remove a member',
    access: 'project.admin',
    params: memberParams,
    response: noContent,
  }),
});
