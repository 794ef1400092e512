/**
 * Who has which address on a network. Every address that is given out is a row, whose key makes it unique; it goes with its
 * holder.
 */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import { formatAddress, parseAddress } from '@kvasir/control/network/address.ts';
import {
  candidates,
  cidrOf,
  familyOf,
  isInPool,
  isUsable,
  poolSize,
  type Subnet,
} from '@kvasir/control/network/subnet.ts';
import { type NetworkAddressRow, networkAddresses, type NetworkRow } from '../store/networks.ts';
import type { ProjectRow } from '../store/projects.ts';
import type { Tx } from '../store/database.ts';
import type { Call } from './call.ts';

type HolderKey = 'portId' | 'subPortId' | 'routerId' | 'floatingAddressId';
export type AddressHolder = { readonly [K in HolderKey]: Readonly<Record<K, string>> }[HolderKey];

const atOnce = 64;
const none = { portId: null, subPortId: null, routerId: null, floatingAddressId: null } as const;

/** The subnet of the network that an address belongs to, and the address in its one form. @throws invalid-request at `field` */
export function placeAddress(network: NetworkRow, text: string, field: string): { subnet: Subnet; address: string } {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw invalidField(field, 'is no address');
  const subnet = network.subnets.find((one) => familyOf(one) === parsed.family);
  if (subnet === undefined)
    throw invalidField(field, `is ${parsed.family}, but network ${network.name} has no such subnet`);
  if (!isUsable(cidrOf(subnet), parsed)) throw invalidField(field, `is not an address of ${subnet.cidr}`);
  return { subnet, address: formatAddress(parsed) };
}

/** Whether the network is one of others, for somebody who is no administrator. */
export function isOfOthers({ actor }: Call, network: NetworkRow, project: ProjectRow): boolean {
  return network.projectId !== project.id && actor?.systemRole !== 'admin';
}

/**
 * A tenant asks for no address of a network of others but those that it gives out: what lies beside them is its owner's, as servers on the
 * wire are. @throws invalid-request at `field`
 */
export function checkGivenOut(call: Call, network: NetworkRow, project: ProjectRow, text: string, field: string): void {
  if (!isOfOthers(call, network, project)) return;
  const { subnet, address } = placeAddress(network, text, field);
  if (isInPool(subnet, parseAddress(address)!)) return;
  const { allocationFrom, allocationTo } = subnet;
  throw invalidField(field, `is not given out by network ${network.name}: ${allocationFrom} to ${allocationTo} are`);
}

/** Notes that the holder has it. @throws invalid-request at `field` when somebody else has */
export async function takeAddress(
  tx: Tx,
  networkId: string,
  address: string,
  holder: AddressHolder,
  field: string,
): Promise<void> {
  const there = await networkAddresses.find(tx, { networkId, address });
  if (there !== undefined) {
    throw new KvasirError('name-taken', { kind: 'reservation of the address', name: address }, [
      { path: field, message: 'is taken' },
    ]);
  }
  await networkAddresses.insert(tx, { networkId, address, ...none, ...holder });
}

/** Takes a free address of the subnet. @throws unsupported when there is none */
export async function allocateAddress(
  tx: Tx,
  network: NetworkRow,
  subnet: Subnet,
  macAddress: string,
  holder: AddressHolder,
): Promise<string> {
  const { id: networkId } = network;
  const taken = await networkAddresses.count(tx, { networkId });
  const size = poolSize(subnet);
  for (let tried = 0; tried < size; tried += atOnce) {
    const some = candidates(subnet, macAddress, tried === 0 ? slaacFirst(subnet, taken) : taken + tried, atOnce);
    if (some.length === 0) break;
    const there = new Set(
      (await networkAddresses.select(tx, { networkId, address: some })).map((row: NetworkAddressRow) => row.address),
    );
    const address = some.find((one) => !there.has(one));
    if (address === undefined) continue;
    await networkAddresses.insert(tx, { networkId, address, ...none, ...holder });
    return address;
  }
  throw new KvasirError('unsupported', { reason: `No address of ${subnet.cidr} on network ${network.name} is free` });
}

/** Where the guest chooses by its MAC there is one candidate, at the start. */
function slaacFirst(subnet: Subnet, taken: number): number {
  return familyOf(subnet) === 'ipv6' && subnet.dhcp ? 0 : taken;
}

/** What a port asked for, checked: at most one address of each family. @throws invalid-request */
export function checkAddresses(network: NetworkRow, asked: readonly string[], field: string): string[] {
  const placed = asked.map((text, index) => {
    const at = `${field}/${index}`;
    const { subnet, address } = placeAddress(network, text, at);
    if (address === subnet.gateway) throw invalidField(at, 'is the gateway of its subnet');
    return { family: familyOf(subnet), address, at };
  });
  const twice = placed.find(({ family }, index) => placed.findIndex((one) => one.family === family) < index);
  if (twice) throw invalidField(twice.at, 'is a second address of its family');
  return placed.map(({ address }) => address);
}
