/** Attaches a NIC to a VM; hot when it runs. */
import { vmAttachNic as attachCall, vmDetachNic as detachCall } from '@kvasir/api/agent/vm.ts';
import { networks, ports } from '../store/networks.ts';
import { vms } from '../store/vms.ts';
import { defineStep, defineTask } from './kind.ts';
import { hostOf, nicSpec } from './vm-spec.ts';

const attach = defineStep('vm-attach-nic', {
  name: 'attach',
  run: async ({ db, params, call }) => {
    const hostId = hostOf(await vms.get(db, params.vmId));
    const port = await ports.get(db, params.nicId);
    const nic = nicSpec(port, await networks.get(db, port.networkId));
    await call(hostId, attachCall, { vmId: params.vmId, nic });
  },
  undo: async ({ db, params, call }) => {
    await call(hostOf(await vms.get(db, params.vmId)), detachCall, { vmId: params.vmId, nicId: params.nicId });
  },
});

export const vmAttachNic = defineTask({
  kind: 'vm-attach-nic',
  cancellable: true,
  steps: [attach],
  undone: async ({ tx, params }) => {
    await ports.remove(tx, { id: params.nicId });
  },
});
