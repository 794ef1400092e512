/** NICs that a request asks for. MAC addresses are unique over the whole system; ours begin with 52:54:00, as QEMU's do. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { NicCreate } from '@kvasir/api/resources/vm.ts';
import { familyOf } from '@kvasir/control/network/subnet.ts';
import { type NetworkRow, networks, type PortRow, ports, subPorts } from '../store/networks.ts';
import type { ProjectRow } from '../store/projects.ts';
import { routers } from '../store/routers.ts';
import { portSecurityGroups, type SecurityGroupRow } from '../store/security-groups.ts';
import { forbiddenField, referredRow } from './access.ts';
import { allocateAddress, checkAddresses, checkGivenOut, isOfOthers, takeAddress } from './addresses.ts';
import type { Change } from './call.ts';
import { fresh } from './changes.ts';
import { openNetworks } from './networks.ts';
import { defaultGroup, namedGroups } from './security-groups.ts';

/** Behind which every host serves metadata and names (`agent/drivers/ovs/rows/wanted-switch.ts`). */
const servicesMac = '02:6b:76:a9:fe:a9';

export interface NewNic {
  readonly network: NetworkRow;
  readonly macAddress: string | undefined;
  readonly model: PortRow['model'];
  readonly vnicType: PortRow['vnicType'];
  /** Asked for, checked; families without one get a free one. */
  readonly addresses: readonly string[];
  /** undefined: no group applies. */
  readonly groups: readonly SecurityGroupRow[] | undefined;
  readonly field: string;
}

/** @param field pointer to this NIC in the request, for refusals */
export async function planNic(change: Change, project: ProjectRow, nic: NicCreate, field: string): Promise<NewNic> {
  const { macAddress } = nic;
  if (macAddress !== undefined) {
    if ((Number.parseInt(macAddress.slice(0, 2), 16) & 1) === 1)
      throw invalidField(`${field}/macAddress`, 'is a multicast address');
    if (macAddress === '00:00:00:00:00:00') throw invalidField(`${field}/macAddress`, 'is no address');
    if (await isMacTaken(change, macAddress))
      throw new KvasirError('name-taken', { kind: 'NIC', name: macAddress }, [
        { path: `${field}/macAddress`, message: 'is taken' },
      ]);
  }
  const network = await referredRow(change, networks, nic.network, project, `${field}/network`, openNetworks);
  const addresses = checkAddresses(network, nic.addresses ?? [], `${field}/addresses`);
  for (const [index, address] of addresses.entries()) {
    checkGivenOut(change, network, project, address, `${field}/addresses/${index}`);
  }
  // Machines are there that we do not know of, and whoever had the MAC of one would be sent its frames.
  const hasMachines = network.kind !== 'vxlan' || network.externalVteps.length > 0;
  if (macAddress !== undefined && hasMachines && isOfOthers(change, network, project))
    throw forbiddenField(change, `${field}/macAddress`);
  if (nic.vnicType === 'direct') checkDirect(network, nic, field);
  const groups =
    nic.securityGroups !== undefined
      ? await namedGroups(change, project, nic.securityGroups, `${field}/securityGroups`)
      : network.portSecurity
        ? [await defaultGroup(change, project)]
        : undefined;
  const { vnicType = 'normal', model = 'virtio' } = nic;
  return { network, macAddress, model, vnicType, addresses, groups, field };
}

/** Networks of NICs that need a virtual function, one for each. */
export function directNetworks(nics: readonly NewNic[]): string[] {
  return nics.flatMap(({ vnicType, network }) => (vnicType === 'direct' ? [network.id] : []));
}

/** The hardware knows MAC and VLAN, but no connections: where policy is wanted, it must not be gone around. */
function checkDirect(network: NetworkRow, nic: NicCreate, field: string): void {
  const refuse = (message: string): KvasirError => invalidField(`${field}/vnicType`, message);
  if (network.kind === 'vxlan' || network.switchId === null)
    throw refuse('needs a flat or VLAN network of a switch: virtual functions are of its uplinks');
  if (network.portSecurity || nic.securityGroups !== undefined)
    throw refuse('needs a network without portSecurity: virtual functions know no security groups');
  if ((nic.model ?? 'virtio') !== 'virtio') throw refuse('needs the model virtio, which stands by');
}

export async function insertNic(change: Change, vmId: string, nic: NewNic): Promise<PortRow> {
  const { tx } = change;
  const { network } = nic;
  const last = (await ports.select(tx, { vmId }, 'position')).at(-1);
  const port = await ports.insert(tx, {
    ...fresh(change),
    vmId,
    networkId: network.id,
    macAddress: nic.macAddress ?? (await freeMacAddress(change)),
    model: nic.model,
    antiSpoofing: network.portSecurity,
    portSecurity: nic.groups !== undefined,
    qosPolicyId: null,
    vnicType: nic.vnicType,
    connected: true,
    position: (last?.position ?? -1) + 1,
  });
  for (const group of nic.groups ?? []) await portSecurityGroups.insert(tx, { portId: port.id, groupId: group.id });
  for (const [index, address] of nic.addresses.entries()) {
    await takeAddress(tx, network.id, address, { portId: port.id }, `${nic.field}/addresses/${index}`);
  }
  for (const subnet of network.subnets) {
    const given = nic.addresses.some((address) => address.includes(':') === (familyOf(subnet) === 'ipv6'));
    if (!given) await allocateAddress(tx, network, subnet, port.macAddress, { portId: port.id });
  }
  return port;
}

export async function freeMacAddress(change: Change): Promise<string> {
  for (;;) {
    const bytes = [0, 1, 2].map(() => Math.floor(change.env.ids.fraction() * 256));
    const macAddress = `52:54:00:${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
    if (!(await isMacTaken(change, macAddress))) return macAddress;
  }
}

/** Whoever had the MAC of a router or of another's sub-port would be sent its frames; that of the hosts' services is theirs too. */
async function isMacTaken({ tx }: Change, macAddress: string): Promise<boolean> {
  if (macAddress === servicesMac) return true;
  const [port, subPort, inside, outside] = [
    await ports.find(tx, { macAddress }),
    await subPorts.find(tx, { macAddress }),
    await routers.find(tx, { macAddress }),
    await routers.find(tx, { externalMacAddress: macAddress }),
  ];
  return [port, subPort, inside, outside].some((holder) => holder !== undefined);
}
