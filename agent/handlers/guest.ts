/** The guest agent inside a VM. Takes no VM lock: a program in the guest may run long while the VM is worked on. */
import { guestExec, guestFreeze, guestInfo, guestPing, guestThaw } from '@kvasir/api/agent/guest.ts';
import { handler, type Handler, type HostContext } from './handler.ts';

export function guestHandlers(host: HostContext): Handler[] {
  const { guest } = host.drivers;
  return [
    handler(guestPing, async ({ vmId }) => ({ answers: await guest.ping(vmId) })),
    handler(guestInfo, ({ vmId }) => guest.info(vmId)),
    handler(guestExec, ({ vmId, ...command }, { signal }) => guest.exec(vmId, command, signal)),
    handler(guestFreeze, ({ vmId }) => guest.freeze(vmId)),
    handler(guestThaw, ({ vmId }) => guest.thaw(vmId)),
  ];
}
