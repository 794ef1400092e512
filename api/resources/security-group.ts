/**
 * A security group is a set of stateful rules; a port with groups may do what any rule of any of its groups allows, and
 * nothing else. Answers of what was allowed always pass. Every project has a group `default`, made when it is first needed:
 * everything out, and in from members of the same group.
 */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import {
  closed,
  common,
  Description,
  Id,
  Labels,
  listQuery,
  Name,
  NameOrId,
  nullable,
  oneOf,
  page,
  projectQuery,
} from '../schema.ts';
import { Cidr } from './network.ts';

const PortNumber = Type.Integer({ minimum: 0, maximum: 65_535 });
const IcmpNumber = Type.Integer({ minimum: 0, maximum: 255 });
export const Protocol = Type.String({
  pattern: '^(tcp|udp|icmp|icmpv6|sctp|[0-9]{1,3})$',
  description: 'tcp, udp, sctp, icmp, icmpv6 or the number of an IP protocol',
});
const Direction = oneOf(['in', 'out'] as const, { description: 'Seen from the VM' });
const Family = oneOf(['ipv4', 'ipv6'] as const);

export const SecurityGroupRule = closed({
  id: Id,
  direction: Direction,
  family: Family,
  protocol: nullable({ ...Protocol, description: 'null: any' }),
  portFrom: nullable(PortNumber),
  portTo: nullable(PortNumber),
  icmpType: nullable(IcmpNumber),
  icmpCode: nullable(IcmpNumber),
  remoteCidr: nullable(Cidr),
  remoteGroupId: nullable(Id),
  remoteGroupName: nullable(Name),
  description: Description,
});
export type SecurityGroupRule = Static<typeof SecurityGroupRule>;

export const SecurityGroup = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  rules: Type.Array(SecurityGroupRule),
  ports: Type.Integer({ description: 'Ports in it' }),
});
export type SecurityGroup = Static<typeof SecurityGroup>;

export const RuleCreate = closed({
  direction: Direction,
  family: Type.Optional({ ...Family, description: 'Default: that of remoteCidr or the protocol, else ipv4' }),
  protocol: Type.Optional(Protocol),
  portFrom: Type.Optional({ ...PortNumber, description: 'Destination port (tcp, udp, sctp)' }),
  portTo: Type.Optional({ ...PortNumber, description: 'Last port of a range; default: portFrom' }),
  icmpType: Type.Optional(IcmpNumber),
  icmpCode: Type.Optional(IcmpNumber),
  remoteCidr: Type.Optional({ ...Cidr, description: 'The other end; default: anybody' }),
  remoteGroup: Type.Optional({ ...NameOrId, description: 'The other end: members of this group' }),
  description: Type.Optional(Description),
});
export type RuleCreate = Static<typeof RuleCreate>;

const params = closed({ securityGroup: NameOrId });
const query = closed({ ...projectQuery });
const access = 'project.member' as const;

export const securityGroupOperations = resource('securityGroup', {
  list: operation({
    method: 'GET',
    path: '/security-groups',
    summary: "List a project's security groups",
    access: 'project.viewer',
    query: listQuery(['name', 'createdAt'], { ...projectQuery, name: Type.Optional(Name) }),
    response: page(SecurityGroup),
    cli: { columns: ['id', 'name', 'description', 'ports'] },
  }),
  get: operation({
    method: 'GET',
    path: '/security-groups/{securityGroup}',
    summary: 'Show a security group with its rules',
    access: 'project.viewer',
    params,
    query,
    response: SecurityGroup,
  }),
  create: operation({
    method: 'POST',
    path: '/security-groups',
    summary: 'Create a security group; unless told otherwise it allows everything out',
    access,
    query,
    body: closed({
      name: Name,
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      denyOut: Type.Optional(Type.Boolean({ description: 'Begin without the rules that allow everything out' })),
    }),
    response: SecurityGroup,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/security-groups/{securityGroup}',
    summary: 'Rename, describe or label a security group',
    access,
    params,
    query,
    body: closed({
      name: Type.Optional(Name),
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
    }),
    response: SecurityGroup,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/security-groups/{securityGroup}',
    summary: 'Delete a security group that nothing uses',
    access,
    params,
    query,
    response: noContent,
  }),
  addRule: operation({
    method: 'POST',
    path: '/security-groups/{securityGroup}/rules',
    summary: 'Allow something more, at once',
    access,
    params,
    query,
    body: RuleCreate,
    response: SecurityGroupRule,
  }),
  removeRule: operation({
    method: 'DELETE',
    path: '/security-groups/{securityGroup}/rules/{rule}',
    summary: 'Take a rule away; sessions that only it allowed are cut at once',
    access,
    params: closed({ securityGroup: NameOrId, rule: Id }),
    query,
    response: noContent,
  }),
});
