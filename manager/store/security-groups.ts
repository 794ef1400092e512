/** Security groups, their rules, and which ports are in them. */
import type { Labels } from '@kvasir/api/schema.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface SecurityGroupRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
}

/** Removed with their project. */
export const securityGroups = new Table<SecurityGroupRow>({
  table: 'securityGroups',
  kind: 'security group',
  columns: { ...versioned, name: 'text', description: 'text', labels: 'json', projectId: 'text' },
});

/** A rule never changes; it is added and removed. */
export interface SecurityGroupRuleRow {
  readonly id: string;
  readonly createdAt: number;
  readonly description: string;
  readonly groupId: string;
  readonly direction: 'in' | 'out';
  readonly family: 'ipv4' | 'ipv6';
  /** IP protocol number; null: any. */
  readonly protocol: number | null;
  readonly portFrom: number | null;
  readonly portTo: number | null;
  readonly icmpType: number | null;
  readonly icmpCode: number | null;
  readonly remoteCidr: string | null;
  readonly remoteGroupId: string | null;
}

/** Removed with their group. */
export const securityGroupRules = new Table<SecurityGroupRuleRow>({
  table: 'securityGroupRules',
  kind: 'rule',
  columns: {
    id: 'text',
    createdAt: 'integer',
    description: 'text',
    groupId: 'text',
    direction: 'text',
    family: 'text',
    protocol: 'integer',
    portFrom: 'integer',
    portTo: 'integer',
    icmpType: 'integer',
    icmpCode: 'integer',
    remoteCidr: 'text',
    remoteGroupId: 'text',
  },
});

export interface PortSecurityGroupRow {
  readonly portId: string;
  readonly groupId: string;
}

/** Removed with their port. */
export const portSecurityGroups = new Table<PortSecurityGroupRow>({
  table: 'portSecurityGroups',
  kind: 'member of a security group',
  columns: { portId: 'text', groupId: 'text' },
  key: 'portId',
});
