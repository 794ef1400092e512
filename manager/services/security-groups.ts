/** Security groups and their rules. The group `default` of a project is made when somebody first needs it. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { SecurityGroup, securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { isRuleFault, planRule, protocolName } from '@kvasir/control/network/rule.ts';
import type { ProjectRow } from '../store/projects.ts';
import {
  portSecurityGroups,
  type SecurityGroupRow,
  type SecurityGroupRuleRow,
  securityGroupRules,
  securityGroups,
} from '../store/security-groups.ts';
import { ownedRow, projectOf, referredRow } from './access.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import { announce, announceLife, checkName, checkRevision, fresh, nudging, updateRow } from './changes.ts';
import { checkQuota } from './quota.ts';
import { versionedView } from './views.ts';

const defaultName = 'default';
/** A rule is up to 30 flows on each host with a member. */
const mostRules = 500;
const anything = {
  description: '',
  protocol: null,
  portFrom: null,
  portTo: null,
  icmpType: null,
  icmpCode: null,
  remoteCidr: null,
  remoteGroupId: null,
} as const;

export const listSecurityGroups: ReadService<typeof securityGroupOperations.list> = async (call, { query }) => {
  const { project, name, ...paging } = query;
  const { id } = await projectOf(call, project);
  const page = await securityGroups.list(call.db, { sort: 'name', ...paging, where: { name, projectId: id } });
  return { ...page, items: await groupViews(call, page.items) };
};

export const getSecurityGroup: ReadService<typeof securityGroupOperations.get> = async (call, { params, query }) =>
  groupView(call, await ownedRow(call, securityGroups, params.securityGroup, query.project));

export const createSecurityGroup: OpenService<typeof securityGroupOperations.create> = nudging(
  async (change, { query, body }) => {
    const project = await projectOf(change, query.project);
    checkName(body.name);
    await checkQuota(change.tx, project, { securityGroups: 1 });
    const { name, description = '', labels = {} } = body;
    const row = await insertGroup(change, project, { name, description, labels }, body.denyOut ?? false);
    await announceLife(change, 'created', securityGroups.kind, row);
    return groupView(change, row);
  },
);

export const updateSecurityGroup: OpenService<typeof securityGroupOperations.update> = nudging(
  async (change, { params, query, body }) => {
    checkName(body.name);
    const row = await ownedRow(change, securityGroups, params.securityGroup, query.project);
    return groupView(change, await updateRow(change, securityGroups, row, body));
  },
);

export const deleteSecurityGroup: OpenService<typeof securityGroupOperations.delete> = nudging(
  async (change, { params, query }) => {
    const row = await ownedRow(change, securityGroups, params.securityGroup, query.project);
    checkRevision(change, securityGroups.kind, row);
    const members = await portSecurityGroups.count(change.tx, { groupId: row.id });
    const referring = (await securityGroupRules.select(change.tx, { remoteGroupId: row.id })).filter(
      ({ groupId }) => groupId !== row.id,
    );
    const by = members > 0 ? `${members} port(s)` : `${referring.length} rule(s) of other groups`;
    if (members + referring.length > 0) {
      throw new KvasirError('in-use', { kind: securityGroups.kind, name: row.name, by });
    }
    await securityGroupRules.remove(change.tx, { groupId: row.id });
    await securityGroups.remove(change.tx, { id: row.id });
    await announceLife(change, 'deleted', securityGroups.kind, row);
    return null;
  },
);

export const addRule: OpenService<typeof securityGroupOperations.addRule> = nudging(
  async (change, { params, query, body }) => {
    const group = await ownedRow(change, securityGroups, params.securityGroup, query.project);
    const { remoteGroup, description = '', ...asked } = body;
    const planned = planRule({ ...asked, remoteGroup: remoteGroup !== undefined });
    if (isRuleFault(planned)) throw invalidField(`/body/${planned.field}`, planned.message);
    const remoteGroupId =
      remoteGroup === undefined
        ? null
        : (await groupNamed(change, group.projectId, remoteGroup, '/body/remoteGroup')).id;
    const { id, createdAt } = fresh(change);
    const rule: SecurityGroupRuleRow = { id, createdAt, description, groupId: group.id, ...planned, remoteGroupId };
    const there = await securityGroupRules.select(change.tx, { groupId: group.id });
    if (there.length >= mostRules) {
      throw new KvasirError('unsupported', { reason: `A security group has ${mostRules} rules at most` });
    }
    const same = there.find((one) => meaning(one) === meaning(rule));
    if (same) throw new KvasirError('name-taken', { kind: 'rule that says the same', name: same.id });
    await securityGroupRules.insert(change.tx, rule);
    await rulesChanged(change, group, 'has a rule more');
    return (await groupView(change, group)).rules.find((one) => one.id === id)!;
  },
);

export const removeRule: OpenService<typeof securityGroupOperations.removeRule> = nudging(
  async (change, { params, query }) => {
    const group = await ownedRow(change, securityGroups, params.securityGroup, query.project);
    checkRevision(change, securityGroups.kind, group);
    const removed = await securityGroupRules.remove(change.tx, { id: params.rule, groupId: group.id });
    if (removed === 0) throw new KvasirError('not-found', { kind: securityGroupRules.kind, id: params.rule });
    await rulesChanged(change, group, 'has a rule less');
    return null;
  },
);

/** The project's group `default`, made now if need be: everything out, and in from its own members. */
export async function defaultGroup(change: Change, project: ProjectRow): Promise<SecurityGroupRow> {
  const there = await securityGroups.find(change.tx, { projectId: project.id, name: defaultName });
  if (there) return there;
  const description = 'Everything out, and in from members of this group';
  const group = await insertGroup(change, project, { name: defaultName, description, labels: {} }, false);
  for (const family of ['ipv4', 'ipv6'] as const) {
    await insertRule(change, { ...anything, groupId: group.id, direction: 'in', family, remoteGroupId: group.id });
  }
  return group;
}

/** Groups that a request names; `default` is made if need be. @throws not-found with the field */
export async function namedGroups(
  change: Change,
  project: ProjectRow,
  asked: readonly string[],
  field: string,
): Promise<SecurityGroupRow[]> {
  const groups: SecurityGroupRow[] = [];
  for (const [index, name] of asked.entries()) {
    const group =
      name === defaultName
        ? await defaultGroup(change, project)
        : await referredRow(change, securityGroups, name, project, `${field}/${index}`);
    if (!groups.some(({ id }) => id === group.id)) groups.push(group);
  }
  return groups;
}

async function groupNamed(change: Change, projectId: string, name: string, field: string): Promise<SecurityGroupRow> {
  const project = await projectOf(change, projectId);
  if (name === defaultName) return defaultGroup(change, project);
  return referredRow(change, securityGroups, name, project, field);
}

async function insertGroup(
  change: Change,
  project: ProjectRow,
  facts: Pick<SecurityGroupRow, 'name' | 'description' | 'labels'>,
  denyOut: boolean,
): Promise<SecurityGroupRow> {
  const row = await securityGroups.insert(change.tx, { ...fresh(change), ...facts, projectId: project.id });
  if (denyOut) return row;
  for (const family of ['ipv4', 'ipv6'] as const) {
    await insertRule(change, { ...anything, groupId: row.id, direction: 'out', family });
  }
  return row;
}

async function insertRule(change: Change, rule: Omit<SecurityGroupRuleRow, 'id' | 'createdAt'>): Promise<void> {
  const { id, createdAt } = fresh(change);
  await securityGroupRules.insert(change.tx, { id, createdAt, ...rule });
}

async function rulesChanged(change: Change, group: SecurityGroupRow, what: string): Promise<void> {
  await securityGroups.update(change.tx, group.id, {}, { now: change.env.clock.now() });
  await announce(change, {
    kind: 'securityGroup.rules-changed',
    message: `security group ${group.name} ${what}`,
    target: { kind: 'securityGroup', id: group.id, name: group.name },
    projectId: group.projectId,
  });
}

function meaning({ id: _id, createdAt: _createdAt, description: _description, ...rule }: SecurityGroupRuleRow): string {
  return JSON.stringify(Object.entries(rule).sort(([a], [b]) => a.localeCompare(b)));
}

async function groupView(call: Call, row: SecurityGroupRow): Promise<SecurityGroup> {
  return (await groupViews(call, [await securityGroups.get(call.db, row.id)]))[0]!;
}

async function groupViews(call: Call, rows: readonly SecurityGroupRow[]): Promise<SecurityGroup[]> {
  const groupId = rows.map(({ id }) => id);
  const rules = await securityGroupRules.select(call.db, { groupId }, 'createdAt');
  const members = Map.groupBy(await portSecurityGroups.select(call.db, { groupId }), (row) => row.groupId);
  const remoteIds = [...new Set(rules.flatMap(({ remoteGroupId }) => (remoteGroupId === null ? [] : [remoteGroupId])))];
  const remotes = new Map((await securityGroups.select(call.db, { id: remoteIds })).map(({ id, name }) => [id, name]));
  const rulesOf = Map.groupBy(rules, (rule) => rule.groupId);
  return rows.map((row) => ({
    ...versionedView(row),
    name: row.name,
    description: row.description,
    labels: { ...row.labels },
    projectId: row.projectId,
    rules: (rulesOf.get(row.id) ?? []).map(({ createdAt: _createdAt, groupId: _groupId, ...rule }) => ({
      ...rule,
      protocol: rule.protocol === null ? null : protocolName(rule.protocol),
      remoteGroupName: (rule.remoteGroupId === null ? undefined : remotes.get(rule.remoteGroupId)) ?? null,
    })),
    ports: members.get(row.id)?.length ?? 0,
  }));
}

/** By the id of the rule. @param projectId only of groups of this project */
export async function groupNamesOfRules(
  call: Call,
  ruleIds: readonly string[],
  projectId?: string,
): Promise<Map<string, string>> {
  if (ruleIds.length === 0) return new Map();
  const query = call.db
    .selectFrom('securityGroupRules')
    .innerJoin('securityGroups', 'securityGroups.id', 'securityGroupRules.groupId')
    .select(['securityGroupRules.id', 'securityGroups.name'])
    .where('securityGroupRules.id', 'in', [...ruleIds]);
  const rows = await (projectId ? query.where('securityGroups.projectId', '=', projectId) : query).execute();
  return new Map(rows.map(({ id, name }) => [id, name]));
}
