/** How evenly the hosts of a cluster are loaded, and the moves that would make it better. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { CapacityShare, changeOf, closed, Id, Name, NameOrId, oneOf } from '../schema.ts';
import { Task } from './task.ts';

export const BalancePolicy = closed({
  mode: oneOf(['manual', 'suggested', 'automatic'] as const, {
    description:
      'manual: only when somebody asks; suggested: an event says that moves are worth it; automatic: VMs are moved',
  }),
  threshold: Type.Number({
    minimum: 0.05,
    maximum: 1,
    description: 'Difference between hosts, as a share of their memory or CPUs, above which VMs are to move',
  }),
  maxMoves: Type.Integer({ minimum: 1, maximum: 100, description: 'At once' }),
  intervalMinutes: Type.Integer({ minimum: 1, maximum: 1440, description: 'How often it is looked at' }),
  restMinutes: Type.Integer({
    minimum: 0,
    maximum: 10_080,
    description: 'How long a VM that was moved stays where it is',
  }),
});
export type BalancePolicy = Static<typeof BalancePolicy>;

export const defaultBalancePolicy: BalancePolicy = {
  mode: 'manual',
  threshold: 0.2,
  maxMoves: 4,
  intervalMinutes: 5,
  restMinutes: 30,
};

export const Balance = closed({
  ...BalancePolicy.properties,
  difference: Type.Number({ description: 'Between the hosts, as a share of memory or CPUs, whichever is more' }),
  hosts: Type.Array(closed({ name: Name, memory: CapacityShare, cpus: CapacityShare })),
  moves: Type.Array(
    closed({
      vmId: Id,
      vmName: Type.String(),
      fromHostName: Name,
      toHostName: Name,
      because: Type.String(),
    }),
    { description: 'Suggested, in this order' },
  ),
});
export type Balance = Static<typeof Balance>;

const params = closed({ cluster: NameOrId });

export const balanceOperations = resource('cluster', {
  showBalance: operation({
    method: 'GET',
    path: '/clusters/{cluster}/balance',
    summary: 'Show how the hosts of a cluster are loaded, and which moves of VMs would even that out, and why',
    access: 'system.viewer',
    params,
    response: Balance,
    cli: { name: 'balance' },
  }),
  updateBalance: operation({
    method: 'PATCH',
    path: '/clusters/{cluster}/balance',
    summary: 'Say how a cluster balances its load',
    access: 'system.admin',
    params,
    body: changeOf(BalancePolicy),
    response: Balance,
    cli: { name: 'set-balance' },
  }),
  applyBalance: operation({
    method: 'POST',
    path: '/clusters/{cluster}/balance/apply',
    summary: 'Make the moves that are suggested now, or the one of this VM',
    access: 'system.admin',
    params,
    body: closed({ vm: Type.Optional({ ...Id, description: 'Only this one; left out: all' }) }),
    status: 200,
    response: closed({ tasks: Type.Array(Task) }),
    idempotent: false,
    cli: { name: 'apply-balance' },
  }),
});
