/** How a cluster saves power: hosts that are not needed are switched off, and woken when they are. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { CapacityShare, changeOf, closed, Name, NameOrId, nullable, oneOf, Timestamp } from '../schema.ts';
import { Task } from './task.ts';

const Percent = (minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, description });
const Ms = (minimum: number, description: string) => Type.Integer({ minimum, maximum: 86_400_000, description });

export const PowerSavingPolicy = closed({
  mode: oneOf(['off', 'suggested', 'automatic'] as const, {
    description:
      'off: no host is switched off, and those that were are woken; suggested: an event says which host could be; automatic: it is',
  }),
  evacuate: Type.Boolean({ description: 'Also hosts with VMs, which move away first; false: only empty hosts' }),
  minHostsOn: Type.Integer({ minimum: 1, maximum: 10_000, description: 'So many hosts always stay on' }),
  keepFreePercent: Percent(0, 95, 'Of memory and of CPUs, that stays free when a host is switched off'),
  wakeAbovePercent: Percent(10, 100, 'Of memory or of CPUs promised, above which a host is woken'),
  idleAfterMs: Ms(1000, 'How long a host must have been dispensable before it is switched off'),
  wakeTimeoutMs: Ms(10_000, 'A host that was woken and is not heard after so long has failed: another is woken'),
});
export type PowerSavingPolicy = Static<typeof PowerSavingPolicy>;

export const defaultPowerSavingPolicy: PowerSavingPolicy = {
  mode: 'off',
  evacuate: true,
  minHostsOn: 2,
  keepFreePercent: 30,
  wakeAbovePercent: 85,
  idleAfterMs: 1_800_000,
  wakeTimeoutMs: 900_000,
};

export const PowerSaving = closed({
  ...PowerSavingPolicy.properties,
  hosts: Type.Array(
    closed({
      name: Name,
      power: oneOf(['on', 'entering', 'standby', 'waking', 'failed', 'out'] as const, {
        description:
          'entering: being emptied and switched off; failed: it did not come up; out: not well, in maintenance or closed, so left alone',
      }),
      memory: CapacityShare,
      cpus: CapacityShare,
      dispensableSince: nullable(Timestamp),
      stays: nullable(Type.String({ description: 'Why it is not switched off now; null: it could be' })),
    }),
  ),
  actions: Type.Array(
    closed({
      action: oneOf(['standby', 'wake'] as const),
      hostName: Name,
      vms: Type.Integer({ description: 'VMs that move away first' }),
      dueAt: nullable(Timestamp),
      because: Type.String(),
    }),
    { description: 'Suggested, in this order' },
  ),
});
export type PowerSaving = Static<typeof PowerSaving>;

const params = closed({ cluster: NameOrId });

export const powerSavingOperations = resource('cluster', {
  showPowerSaving: operation({
    method: 'GET',
    path: '/clusters/{cluster}/power-saving',
    summary: 'Show which hosts of a cluster are on, which could be switched off or should be woken, and why',
    access: 'system.viewer',
    params,
    response: PowerSaving,
    cli: { name: 'power-saving' },
  }),
  updatePowerSaving: operation({
    method: 'PATCH',
    path: '/clusters/{cluster}/power-saving',
    summary: 'Say how a cluster saves power',
    access: 'system.admin',
    params,
    body: changeOf(PowerSavingPolicy),
    response: PowerSaving,
    cli: { name: 'set-power-saving' },
  }),
  applyPowerSaving: operation({
    method: 'POST',
    path: '/clusters/{cluster}/power-saving/apply',
    summary: 'Do what is suggested now, or what is suggested of this host, without waiting for its time',
    access: 'system.admin',
    params,
    body: closed({ host: Type.Optional({ ...Name, description: 'Only this one; left out: all' }) }),
    status: 200,
    response: closed({ tasks: Type.Array(Task) }),
    idempotent: false,
    cli: { name: 'apply-power-saving' },
  }),
});
