/** Consoles and screenshots: a one-time ticket for the bytes, a picture for the list. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { actorOf } from './access.ts';
import type { Change, ChangeService, OpenService, ReadService } from './call.ts';
import type { Call } from './call.ts';
import { announce } from './changes.ts';
import { iso } from './views.ts';
import { findVm, requireAction } from './vms.ts';

export const openConsole: ChangeService<typeof vmOperations.openConsole> = async (change, { params, query, body }) => {
  const { vm, hostId } = await reachable(change, params.vm, query.project, 'console', 'open the console of');
  await announceConsole(change, vm, body.kind);
  const grant = { vmId: vm.id, hostId, kind: body.kind, userId: actorOf(change).userId };
  const { ticket, expiresAtMs } = change.env.tickets.issue(grant);
  return { path: `/v1/vms/${vm.id}/console`, ticket, expiresAt: iso(expiresAtMs) };
};

export const screenshot: OpenService<typeof vmOperations.screenshot, Buffer> = async (call, { params, query }) => {
  const { vm, hostId } = await reachable(call, params.vm, query.project, 'screenshot', 'take a picture of');
  return call.env.links.screenshot(hostId, vm.id);
};

/** The address of the console without the upgrade to a WebSocket. */
export const consoleWithoutUpgrade: ReadService<typeof vmOperations.console> = async () => {
  throw new KvasirError('invalid-request', { reason: 'this address speaks WebSocket only' });
};

async function reachable(
  call: Call,
  nameOrId: string,
  project: string | undefined,
  action: 'console' | 'screenshot',
  words: string,
) {
  const vm = await findVm(call, nameOrId, project);
  await requireAction(call, action, vm, words);
  if (vm.hostId === null)
    throw new KvasirError('wrong-state', { action: words, kind: 'VM', name: vm.name, state: 'on no host' });
  if (!call.env.links.isConnected(vm.hostId)) throw new KvasirError('host-unreachable', { host: 'of the VM' });
  return { vm, hostId: vm.hostId };
}

async function announceConsole(
  change: Change,
  vm: { id: string; name: string; projectId: string },
  kind: string,
): Promise<void> {
  await announce(change, {
    kind: 'vm.console-opened',
    message: `${actorOf(change).userName} opened the ${kind} console of VM ${vm.name}`,
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
  });
}
