/** Detaches a NIC from a VM. */
import { vmAttachNic as attachCall, vmDetachNic as detachCall } from '@kvasir/api/agent/vm.ts';
import { networks, ports } from '../store/networks.ts';
import { vms } from '../store/vms.ts';
import { defineStep, defineTask } from './kind.ts';
import { hostOf, nicSpec } from './vm-spec.ts';

const detach = defineStep('vm-detach-nic', {
  name: 'detach',
  run: async ({ db, params, call }) => {
    await call(hostOf(await vms.get(db, params.vmId)), detachCall, { vmId: params.vmId, nicId: params.nicId });
  },
  undo: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    const port = await ports.get(db, params.nicId);
    const nic = nicSpec(port, await networks.get(db, port.networkId));
    await call(hostId, attachCall, { vmId: params.vmId, nic });
  },
});

export const vmDetachNic = defineTask({
  kind: 'vm-detach-nic',
  cancellable: true,
  steps: [detach],
  done: async ({ tx, params }) => {
    await ports.remove(tx, { id: params.nicId });
  },
});
