/** A port with the VM and the project that it belongs to, and how a change of it is told. */
import { type PortRow, ports } from '../store/networks.ts';
import type { ProjectRow } from '../store/projects.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { isId, ownerOf } from './access.ts';
import type { Call, Change } from './call.ts';
import { announce } from './changes.ts';

export const portKind = 'port';

/** A port of a VM that the actor may see, with the operation's role. @throws not-found, forbidden */
export async function findPort(call: Call, id: string, project: string | undefined): Promise<OwnedPort> {
  const port = isId(id) ? await ports.find(call.db, { id }) : undefined;
  const vm = port && (await vms.get(call.db, port.vmId));
  const owner = await ownerOf(call, portKind, id, vm?.projectId, project);
  return { port: port!, vm: vm!, project: owner };
}

export interface OwnedPort {
  readonly port: PortRow;
  readonly vm: VmRow;
  readonly project: ProjectRow;
}

export async function announcePort(change: Change, port: PortRow, vm: VmRow, what: string): Promise<void> {
  await announce(change, {
    kind: `port.${change.op.verb === 'update' ? 'updated' : 'trunk-changed'}`,
    message: `port ${port.macAddress} of VM ${vm.name} ${what}`,
    target: { kind: portKind, id: port.id, name: port.macAddress },
    projectId: vm.projectId,
  });
}
