/** Taking a host out and back: its VMs move away first, and high availability leaves it alone until it is back. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { closed, Id, NameOrId, nullable, oneOf, Timestamp } from '../schema.ts';
import { Host } from './host.ts';
import { HostEvacuation } from './host-evacuation.ts';
import { Task } from './task.ts';
import { VmState } from './vm.ts';

export const HostMaintenance = closed({
  state: oneOf(['none', 'entering', 'maintenance'] as const, {
    description: 'entering: it takes no new VMs, and those that run on it are moved away; maintenance: none runs there',
  }),
  taskId: nullable(Id),
  since: nullable(Timestamp),
  total: Type.Integer({ description: 'VMs that were to leave' }),
  gone: Type.Integer({ description: 'VMs that have left' }),
  remaining: Type.Array(
    closed({
      vmId: Id,
      vmName: Type.String(),
      state: VmState,
      moving: Type.Boolean(),
      reason: nullable(Type.String({ description: 'Why it could not leave, or need not' })),
    }),
  ),
});
export type HostMaintenance = Static<typeof HostMaintenance>;

const params = closed({ host: NameOrId });

export const hostMaintenanceOperations = resource('host', {
  enterMaintenance: operation({
    method: 'POST',
    path: '/hosts/{host}/maintenance',
    summary:
      'Take a host out: it takes no new VMs, those that run on it move away while they run, then it may be switched off; a cancel of the task opens it again',
    access: 'system.admin',
    task: 'host-maintenance',
    params,
    body: HostEvacuation,
    response: Task,
    cli: { name: 'maintenance' },
  }),
  showMaintenance: operation({
    method: 'GET',
    path: '/hosts/{host}/maintenance',
    summary: 'Show how far a host is out, which VMs remain on it, and why',
    access: 'system.viewer',
    params,
    response: HostMaintenance,
    cli: { name: 'maintenance-status' },
  }),
  exitMaintenance: operation({
    method: 'POST',
    path: '/hosts/{host}/maintenance/exit',
    summary: 'Take a host back into service; its VMs do not come back by themselves',
    access: 'system.admin',
    params,
    status: 200,
    response: Host,
    cli: { name: 'resume' },
  }),
});
