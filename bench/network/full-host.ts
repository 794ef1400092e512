/**
 * A host with many ports, rules and remote addresses, as the flow compiler is told of it. Every port is filtered; every rule
 * lets one service in from one large set of addresses; `groups` says into how many security groups the ports are divided:
 * one for all is the cheapest, one for each port the dearest.
 */
import type { LocalSwitch } from '@kvasir/ovs/compile/local.ts';
import { allocateNumbers, noNumbers } from '@kvasir/ovs/compile/numbers.ts';
import type { Group, Port, Rule, Slice } from '@kvasir/ovs/compile/slice.ts';

export interface FullHostSizes {
  readonly ports: number;
  readonly rulesPerPort: number;
  readonly remoteAddresses: number;
  readonly groups: number;
}

export const networkId = 'tenant';
const remoteSet = 'clients';
const firstNicPort = 11;
const tunnelPort = 1;
const tcp = 6;
const udp = 17;
const firstService = 8000;
/** Of a range: takes more than one match. */
const serviceWidth = 10;

export function fullHost({ ports, rulesPerPort, remoteAddresses, groups }: FullHostSizes): Slice {
  return {
    uplinks: [],
    networks: [
      {
        networkId,
        kind: 'vxlan',
        segment: 9_000_001,
        switchId: null,
        subnets: [{ cidr: '10.0.0.0/16', gateway: '10.0.0.1', dhcp: true }],
        remotePorts: [],
        memberVteps: [],
        externalVteps: [],
      },
    ],
    ports: numbered(ports).map((index) => port(index, `group-${index % groups}`)),
    groups: numbered(groups).map((index) => group(index, rulesPerPort)),
    addressSets: [
      { groupId: remoteSet, addresses: numbered(remoteAddresses).map((at) => address(0x0a01_0000 + at * 3)) },
    ],
    routers: [],
  };
}

/** The same with one address more in the set that all rules speak of. */
export function withOneAddressMore(slice: Slice, round: number): Slice {
  const addressSets = slice.addressSets.map((set) => ({
    ...set,
    addresses: [...set.addresses, address(0x0a02_0000 + round)],
  }));
  return { ...slice, addressSets };
}

export function localSwitchOf(slice: Slice): LocalSwitch {
  return {
    numbers: allocateNumbers(noNumbers, slice),
    nicPorts: Object.fromEntries(slice.ports.map(({ nicId }, index) => [nicId, firstNicPort + index])),
    uplinkPorts: {},
    defaultUplinkPort: null,
    tunnelPort,
    tunnelAddress: null,
    services: null,
    bridgeMac: '52:54:00:bb:00:01',
    neighbours: {},
  };
}

function port(index: number, groupId: string): Port {
  return {
    nicId: `nic-${String(index).padStart(4, '0')}`,
    networkId,
    macAddress: `52:54:00:01:${hex(index >> 8)}:${hex(index & 0xff)}`,
    addresses: [address(0x0a00_0100 + index)],
    antiSpoofing: true,
    filtered: true,
    securityGroupIds: [groupId],
    phase: 'active',
    connected: true,
    qos: null,
    guestVlan: null,
    hardware: false,
  };
}

/** Half TCP, half UDP, every second one a range; all of them speak of the same set. */
function group(index: number, rules: number): Group {
  return { groupId: `group-${index}`, rules: numbered(rules).map((at) => rule(`rule-${index}-${at}`, at)) };
}

function rule(ruleId: string, at: number): Rule {
  const from = firstService + at * serviceWidth;
  return {
    ruleId,
    direction: 'in',
    family: 'ipv4',
    protocol: at % 2 === 0 ? tcp : udp,
    ports: { from, to: at % 4 < 2 ? from : from + serviceWidth - 2 },
    icmp: null,
    remote: { groupId: remoteSet },
  };
}

function numbered(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function address(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
