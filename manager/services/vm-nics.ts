/** NICs that a request asks for. MAC addresses are unique over the whole system; ours begin with 52:54:00, as QEMU's do. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { NicCreate } from '@kvasir/api/resources/vm.ts';
import { type NetworkRow, networks, plainPort, type PortRow, ports } from '../store/networks.ts';
import type { ProjectRow } from '../store/projects.ts';
import { referredRow } from './access.ts';
import type { Call, Change } from './call.ts';
import { fresh } from './changes.ts';
import { openNetworks } from './networks.ts';

export interface NewNic {
  readonly network: NetworkRow;
  readonly macAddress: string | undefined;
  readonly model: PortRow['model'];
}

/** @param field pointer to this NIC in the request, for refusals */
export async function planNic(call: Call, project: ProjectRow, nic: NicCreate, field: string): Promise<NewNic> {
  const { macAddress } = nic;
  if (macAddress !== undefined) {
    if ((Number.parseInt(macAddress.slice(0, 2), 16) & 1) === 1)
      throw invalidField(`${field}/macAddress`, 'is a multicast address');
    if (macAddress === '00:00:00:00:00:00') throw invalidField(`${field}/macAddress`, 'is no address');
    const holder = await ports.find(call.db, { macAddress });
    if (holder)
      throw new KvasirError('name-taken', { kind: 'NIC', name: macAddress }, [
        { path: `${field}/macAddress`, message: 'is taken' },
      ]);
  }
  const network = await referredRow(call, networks, nic.network, project, `${field}/network`, openNetworks);
  return { network, macAddress, model: nic.model ?? 'virtio' };
}

export async function insertNic(change: Change, vmId: string, nic: NewNic): Promise<PortRow> {
  const last = (await ports.select(change.tx, { vmId }, 'position')).at(-1);
  return ports.insert(change.tx, {
    ...fresh(change),
    vmId,
    networkId: nic.network.id,
    macAddress: nic.macAddress ?? (await freeMacAddress(change)),
    model: nic.model,
    ...plainPort,
    connected: true,
    position: (last?.position ?? -1) + 1,
  });
}

async function freeMacAddress(change: Change): Promise<string> {
  for (;;) {
    const bytes = [0, 1, 2].map(() => Math.floor(change.env.ids.fraction() * 256));
    const macAddress = `52:54:00:${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
    if (!(await ports.find(change.tx, { macAddress }))) return macAddress;
  }
}
