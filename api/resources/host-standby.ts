/** Switching a host off that is not needed, and waking it: what power saving does, on an operator's word. */
import { operation, resource } from '../operation.ts';
import { closed, NameOrId } from '../schema.ts';
import { HostEvacuation } from './host-evacuation.ts';
import { Task } from './task.ts';

const params = closed({ host: NameOrId });

export const hostStandbyOperations = resource('host', {
  standby: operation({
    method: 'POST',
    path: '/hosts/{host}/standby',
    summary:
      'Send a host to standby: its VMs move away while they run, then its power device switches it off; it is woken when it is needed',
    access: 'system.admin',
    task: 'host-standby',
    params,
    body: HostEvacuation,
    response: Task,
    cli: { name: 'standby' },
  }),
  wake: operation({
    method: 'POST',
    path: '/hosts/{host}/wake',
    summary: 'Wake a host that is in standby by its power device; the task ends when its agent is heard',
    access: 'system.admin',
    task: 'host-wake',
    params,
    response: Task,
    cli: { name: 'wake' },
  }),
});
