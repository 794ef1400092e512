/**
 * Who may do what, and how a request's names become rows. The contract says the least role (`op.access`); here it is held
 * against the project or organization that the request addresses.
 *
 * Invariants: an organization's administrator is administrator of its projects; the system's administrator of everything;
 * the system's viewer reads everything. What one may not see is `not-found`, what one may see but not do is `forbidden`.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Access } from '@kvasir/api/operation.ts';
import { idStartPattern, uuidPattern } from '@kvasir/api/schema.ts';
import { sql } from 'kysely';
import { type OrganizationRow, organizations } from '../store/organizations.ts';
import { type ProjectRow, projects } from '../store/projects.ts';
import type { Executor } from '../store/database.ts';
import type { Table, Where } from '../store/table.ts';
import type { Actor, Call, RoleInProject } from './call.ts';

const uuid = new RegExp(uuidPattern);
const idStart = new RegExp(idStartPattern);
const rank = { viewer: 1, member: 2, admin: 3 } as const satisfies Record<RoleInProject, number>;

/** The project that requests without a `project` mean. */
export const defaultProjectName = 'default';

export function isId(nameOrId: string): boolean {
  return uuid.test(nameOrId);
}

/** The condition that a name or an id means. */
export function byNameOrId(nameOrId: string): { readonly id: string } | { readonly name: string } {
  return isId(nameOrId) ? { id: nameOrId } : { name: nameOrId };
}

/** @throws unauthenticated */
export function actorOf(call: Call): Actor {
  if (!call.actor) throw new KvasirError('unauthenticated');
  return call.actor;
}

export function isOperator(actor: Actor): boolean {
  return actor.systemRole !== 'none';
}

export function forbidden(call: Call): KvasirError {
  return new KvasirError('forbidden', { operation: call.op.id });
}

/** One may do this, but not with that field. */
export function forbiddenField(call: Call, path: string): KvasirError {
  const field = path.split('/').at(-1) ?? path;
  return new KvasirError('forbidden', { operation: `${call.op.id} with ${field}` }, [
    { path, message: "is for the system's operators" },
  ]);
}

/** The actor's role in a project; undefined when it cannot see it. */
export function roleIn(actor: Actor, project: ProjectRow): RoleInProject | undefined {
  if (actor.systemRole === 'admin' || actor.organizationIds.has(project.organizationId)) return 'admin';
  return actor.projectRoles.get(project.id) ?? (actor.systemRole === 'viewer' ? 'viewer' : undefined);
}

/** Checks operations that need no object: `public`, `session`, `system.*`. Answers whether that was all. */
export function checkSystemAccess(access: Access, call: Call): boolean {
  if (access === 'public') return true;
  const actor = actorOf(call);
  switch (access) {
    case 'session':
      return true;
    case 'system.viewer':
      if (!isOperator(actor)) throw forbidden(call);
      return true;
    case 'system.admin':
      if (actor.systemRole !== 'admin') throw forbidden(call);
      return true;
    case 'project.viewer':
    case 'project.member':
    case 'project.admin':
    case 'organization.admin':
      return false;
  }
}

/** Checks the operation's access to this project and notes it. @throws not-found, forbidden */
export function requireProject(call: Call, project: ProjectRow | undefined, asked: string): ProjectRow {
  const role = project && roleIn(actorOf(call), project);
  if (!project || !role) throw new KvasirError('not-found', { kind: 'project', id: asked });
  call.scope.projectId = project.id;
  if (rank[role] < rank[leastRole(call.op.access)]) throw forbidden(call);
  call.scope.checked = true;
  return project;
}

function leastRole(access: Access): RoleInProject {
  if (access === 'project.admin') return 'admin';
  return access === 'project.member' ? 'member' : 'viewer';
}

/** The project that a request names (`default` when it names none), with access checked. @throws not-found, forbidden */
export async function projectOf(call: Call, nameOrId: string | undefined): Promise<ProjectRow> {
  const asked = nameOrId ?? defaultProjectName;
  return requireProject(call, await projects.find(call.db, byNameOrId(asked)), asked);
}

/** @throws not-found, forbidden */
export async function organizationOf(call: Call, nameOrId: string): Promise<OrganizationRow> {
  const actor = actorOf(call);
  const found = await organizations.find(call.db, byNameOrId(nameOrId));
  const visible = found && (isOperator(actor) || actor.organizationIds.has(found.id));
  if (!visible) throw new KvasirError('not-found', { kind: 'organization', id: nameOrId });
  const reads = call.op.method === 'GET';
  if (call.op.access === 'system.admin' ? actor.systemRole !== 'admin' : !reads && actor.systemRole === 'viewer') {
    throw forbidden(call);
  }
  call.scope.checked = true;
  return found;
}

interface OwnedRow {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
}

/** Rows of other projects that may be seen too: `{ public: true }` of images, `{ shared: true }` of networks. */
export interface Reach<Row> {
  readonly openTo?: Where<Row>;
  /** What else a name must fit: `{ trashedAt: null }`. */
  readonly named?: Where<Row>;
}

/**
 * The row that a request addresses by its path: by name in the request's project, or by id anywhere, with access checked.
 * What is only open to the project can be read, not changed. @throws not-found, forbidden
 */
export async function ownedRow<Row extends OwnedRow>(
  call: Call,
  table: Table<Row>,
  nameOrId: string,
  project: string | undefined,
  reach: Reach<Row> = {},
): Promise<Row> {
  const byId = isId(nameOrId) ? await table.find(call.db, { id: nameOrId } as Where<Row>) : undefined;
  const owner = byId && (await projects.get(call.db, byId.projectId));
  if (byId && owner && roleIn(actorOf(call), owner) && (await isNamed(call, owner, project))) {
    requireProject(call, owner, nameOrId);
    return byId;
  }
  const from = await projectOf(call, project);
  const row = await findVisible(call.db, table, nameOrId, from, reach);
  if (!row) throw new KvasirError('not-found', { kind: table.kind, id: nameOrId });
  if (row.projectId !== from.id && call.op.method !== 'GET' && actorOf(call).systemRole !== 'admin')
    throw forbidden(call);
  return row;
}

/**
 * For what has no name of its own: its project is known (undefined: there is no such thing), and the actor must have the
 * operation's role there. @throws not-found, forbidden
 */
export async function ownerOf(
  call: Call,
  kind: string,
  id: string,
  projectId: string | undefined,
  named: string | undefined,
): Promise<ProjectRow> {
  const owner = projectId === undefined ? undefined : await projects.find(call.db, { id: projectId });
  if (owner && roleIn(actorOf(call), owner) && (await isNamed(call, owner, named))) {
    return requireProject(call, owner, id);
  }
  await projectOf(call, named);
  throw new KvasirError('not-found', { kind, id });
}

/**
 * A row that a request refers to in its body, as seen from a project whose access is checked already: the project's own, or
 * one that is open to it. @throws not-found with the field's path
 */
export async function referredRow<Row extends OwnedRow>(
  call: Call,
  table: Table<Row>,
  nameOrId: string,
  from: ProjectRow,
  field: string,
  reach: Reach<Row> = {},
): Promise<Row> {
  const row = await findVisible(call.db, table, nameOrId, from, reach);
  if (row) return row;
  throw notFoundAt(field, table.kind, nameOrId);
}

/** A reference in the body or query that leads nowhere. */
export function notFoundAt(field: string, kind: string, nameOrId: string): KvasirError {
  return new KvasirError('not-found', { kind, id: nameOrId }, [{ path: field, message: 'does not exist here' }]);
}

async function isNamed(call: Call, owner: ProjectRow, project: string | undefined): Promise<boolean> {
  return project === undefined || (await projects.find(call.db, byNameOrId(project)))?.id === owner.id;
}

async function findVisible<Row extends OwnedRow>(
  db: Executor,
  table: Table<Row>,
  nameOrId: string,
  from: ProjectRow,
  { openTo, named }: Reach<Row>,
): Promise<Row | undefined> {
  const address = isId(nameOrId) ? { id: nameOrId } : { name: nameOrId, ...named };
  const own = await table.find(db, { ...address, projectId: from.id } as Where<Row>);
  if (own) return own;
  const open = openTo ? await table.select(db, { ...address, ...openTo }) : [];
  if (open.length > 1) {
    throw new KvasirError('invalid-request', {
      reason: `several projects share a ${table.kind} "${nameOrId}": give its id`,
    });
  }
  return open[0] ?? (idStart.test(nameOrId) ? await findByShortId(db, table, nameOrId, from, openTo) : undefined);
}

/** Lists show ids cut; what can be read there can be typed. A name that looks like it comes first. */
async function findByShortId<Row extends OwnedRow>(
  db: Executor,
  table: Table<Row>,
  start: string,
  from: ProjectRow,
  openTo: Where<Row> | undefined,
): Promise<Row | undefined> {
  const found = new Map<string, Row>();
  for (const where of [{ projectId: from.id } as Where<Row>, ...(openTo ? [openTo] : [])]) {
    const { items } = await table.list(db, { where, matching: [sql<boolean>`id like ${`${start}%`}`], limit: 2 });
    for (const row of items) found.set(row.id, row);
  }
  if (found.size > 1) throw severalBegin(start);
  return [...found.values()][0];
}

/** invalid-request, with the field where there is one */
export function severalBegin(start: string, field?: string): KvasirError {
  const reason = `several ids begin with "${start}": give the whole one`;
  const fields = field === undefined ? undefined : [{ path: field, message: 'is the beginning of several ids' }];
  return new KvasirError('invalid-request', { reason }, fields);
}

/** Ids of the projects that the actor sees; undefined: all of them. */
export async function visibleProjectIds(call: Call): Promise<string[] | undefined> {
  const actor = actorOf(call);
  if (isOperator(actor)) return undefined;
  const administered = await projects.select(call.db, { organizationId: [...actor.organizationIds] });
  return [...new Set([...actor.projectRoles.keys(), ...administered.map(({ id }) => id)])];
}
