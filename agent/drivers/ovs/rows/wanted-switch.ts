/**
 * From a host's slice to the rows that its switch needs. Pure. One integration bridge that forwards by flows only; each way out to
 * the physical network is a plain bridge beside it, joined by a pair of patch ports: Open vSwitch balances a bond only where a
 * bridge forwards by itself.
 */
import { createHash } from 'node:crypto';
import type { NetworkSlice, SliceMirror, SlicePort, SliceUplink } from '@kvasir/api/agent/network-slice.ts';
import { deviceName } from '../device-name.ts';
import { mirrorPrefix } from './mirrors.ts';
import {
  patchPort,
  plainPort,
  type WantedBridge,
  type WantedInterface,
  type WantedMirror,
  type WantedPort,
} from './wanted.ts';

/** A tap that is plugged in. */
export interface PluggedNic {
  readonly device: string;
  readonly nicId: string;
  readonly vmId: string;
  readonly networkId: string;
  readonly macAddress: string;
}

export interface SwitchOptions {
  readonly bridge: string;
  readonly datapathType: 'system' | 'netdev';
  readonly uplinkBridge: string | null;
  /** Without prefix length; null: no tunnels. */
  readonly tunnelAddress: string | null;
}

export interface SwitchInput extends SwitchOptions {
  readonly slice: NetworkSlice;
  readonly plugged: readonly PluggedNic[];
  /** Numbers by key: `nicId`, and those of the names below. */
  readonly numbers: ReadonlyMap<string, number>;
  /** The administrator's bridge that has a NIC already, by NIC. */
  readonly bridgeOfNic: ReadonlyMap<string, string>;
}

export const tunnelPort = 'kv-vxlan';
export const metadataPort = 'kv-meta';
/** The same on every host: what guests remember of it holds after a move. */
export const servicesMac = '02:6b:76:a9:fe:a9';
export const defaultPatch = 'kv-int-phy';
const defaultPatchPeer = 'kv-phy-int';

/** The patch port on the integration bridge that leads to an uplink. */
export function uplinkPatch(uplink: SliceUplink, options: Pick<SwitchInput, 'uplinkBridge' | 'bridgeOfNic'>): string {
  const adopted = adoptedBridge(uplink, options);
  if (adopted !== undefined && adopted === options.uplinkBridge) return defaultPatch;
  return `kv-int-${shortened(uplink.uplinkId)}`;
}

/** Keys that need a number besides NICs. */
export function namedKeys(slice: NetworkSlice): string[] {
  return [
    ...[tunnelPort, metadataPort, defaultPatch],
    ...slice.uplinks.map(({ uplinkId }) => uplinkId),
    ...slice.mirrors.map(({ mirrorId }) => mirrorId),
  ];
}

export function wantedBridges(input: SwitchInput): WantedBridge[] {
  const { datapathType } = input;
  const plain = { datapathType, mirrors: [] } as const;
  const ports: WantedPort[] = [metadata(input), ...input.plugged.map((nic) => nicPort(input, nic))];
  const bridges: WantedBridge[] = [];
  if (input.tunnelAddress !== null) ports.push(tunnel(input, input.tunnelAddress));
  if (input.uplinkBridge !== null) {
    ports.push(patchPort(defaultPatch, defaultPatchPeer, numberOf(input, defaultPatch)));
    const back = patchPort(defaultPatchPeer, defaultPatch, null);
    bridges.push({ ...plain, name: input.uplinkBridge, own: false, failMode: 'standalone', ports: [back] });
  }
  for (const uplink of input.slice.uplinks) {
    const patch = uplinkPatch(uplink, input);
    if (patch === defaultPatch) continue;
    const peer = `kv-${shortened(uplink.uplinkId)}-int`;
    ports.push(patchPort(patch, peer, numberOf(input, uplink.uplinkId)));
    const adopted = adoptedBridge(uplink, input);
    const back = patchPort(peer, patch, null);
    bridges.push({
      ...plain,
      name: adopted ?? `kvup${shortened(uplink.uplinkId)}`,
      own: adopted === undefined,
      failMode: 'standalone',
      ports: adopted === undefined ? [back, uplinkPort(uplink)] : [back],
    });
  }
  const mirrors = input.slice.mirrors.flatMap((mirror) => wantedMirror(input, mirror, ports));
  return [{ name: input.bridge, own: true, datapathType, failMode: 'secure', ports, mirrors }, ...bridges];
}

/** A NIC that the administrator has put into a bridge stays there: that bridge is joined. */
function adoptedBridge(uplink: SliceUplink, { bridgeOfNic }: Pick<SwitchInput, 'bridgeOfNic'>): string | undefined {
  return uplink.bond === null ? bridgeOfNic.get(uplink.nics[0] ?? '') : undefined;
}

function nicPort(input: SwitchInput, nic: PluggedNic): WantedPort {
  const slicePort = portOf(input.slice, nic.nicId);
  const rate = slicePort?.qos?.toVm ?? null;
  return {
    name: nic.device,
    interfaces: [
      {
        name: nic.device,
        type: '',
        options: {},
        externalIds: {
          'iface-id': nic.nicId,
          'attached-mac': nic.macAddress,
          'kvasir-vm': nic.vmId,
          'kvasir-network': nic.networkId,
        },
        number: numberOf(input, nic.nicId),
      },
    ],
    bond: null,
    qos: rate === null ? null : { maxBitsPerSecond: rate.rateKbps * 1000, burstBits: rate.burstKb * 1000 },
  };
}

function portOf(slice: NetworkSlice, nicId: string): SlicePort | undefined {
  return slice.ports.find((port) => port.nicId === nicId && port.guestVlan === null);
}

function tunnel(input: SwitchInput, address: string): WantedPort {
  return plainPort({
    ...own(tunnelPort, 'vxlan'),
    options: { key: 'flow', remote_ip: 'flow', local_ip: address },
    number: numberOf(input, tunnelPort),
  });
}

function metadata(input: SwitchInput): WantedPort {
  const number = numberOf(input, metadataPort);
  return plainPort({ ...own(metadataPort, 'internal'), number, macAddress: servicesMac });
}

function uplinkPort(uplink: SliceUplink): WantedPort {
  const [only] = uplink.nics;
  const interfaces = uplink.nics.map((nic) => own(nic, ''));
  if (uplink.bond === null) return { name: only ?? '', interfaces: interfaces.slice(0, 1), bond: null, qos: null };
  const mode = uplink.bond === 'lacp' ? 'balance-tcp' : uplink.bond;
  const lacp = uplink.bond === 'lacp' ? 'active' : 'off';
  return { name: bondName(uplink), interfaces, bond: { mode, lacp, fast: uplink.lacpFast }, qos: null };
}

export function bondName(uplink: SliceUplink): string {
  return `kvbond${shortened(uplink.uplinkId)}`;
}

function own(name: string, type: WantedInterface['type']): WantedInterface {
  return { name, type, options: {}, externalIds: { kvasir: 'port' }, number: null };
}

/**
 * A mirror towards a NIC of another host is that host's to receive: nothing can be copied to it from here but over GRE. A network may
 * be the untagged frames of one tap and a VLAN of another, which is a trunk: then each of these is a row of its own.
 */
function wantedMirror(input: SwitchInput, mirror: SliceMirror, ports: WantedPort[]): WantedMirror[] {
  const { target, direction } = mirror;
  const here = new Set(input.plugged.map(({ nicId }) => nicId));
  if ('nicId' in target && !here.has(target.nicId)) return [];
  const output = 'nicId' in target ? deviceName(target.nicId) : `kvmir${shortened(mirror.mirrorId)}`;
  const sources = [...mirrorSources(mirror, input.slice)].flatMap(([vlan, nicIds]) => {
    const devices = [...nicIds].filter((nicId) => here.has(nicId)).map(deviceName);
    const others = devices.filter((device) => device !== output);
    return others.length === 0 ? [] : [{ vlan, devices: others }];
  });
  if (sources.length === 0) return [];
  if ('remote' in target) ports.push(collector(input, mirror.mirrorId, output, target));
  return sources.map(({ vlan, devices }) => ({
    name: mirrorPrefix + mirror.mirrorId + (vlan === null || vlan === 0 ? '' : `-${vlan}`),
    fromPorts: direction === 'in' ? [] : devices,
    toPorts: direction === 'out' ? [] : devices,
    vlan,
    output,
  }));
}

/** By the tag that a guest's frames have on its tap, see `WantedMirror`: a port is copied with all its VLANs. */
function mirrorSources({ sources }: SliceMirror, slice: NetworkSlice): Map<number | null, Set<string>> {
  if ('nicIds' in sources) return new Map([[null, new Set(sources.nicIds)]]);
  const found = new Map<number | null, Set<string>>();
  for (const { nicId, networkId, guestVlan } of slice.ports) {
    if (networkId !== sources.networkId) continue;
    const tag = guestVlan ?? 0;
    found.set(tag, (found.get(tag) ?? new Set()).add(nicId));
  }
  return found;
}

type Collector = Extract<SliceMirror['target'], { readonly remote: unknown }>;

function collector(
  input: SwitchInput,
  mirrorId: string,
  name: string,
  { remote, address, key }: Collector,
): WantedPort {
  const erspan: Record<string, string> = remote === 'erspan' ? { erspan_ver: '1', erspan_idx: '1' } : {};
  return plainPort({
    ...own(name, remote),
    options: { remote_ip: address, key: String(key), ...erspan },
    number: numberOf(input, mirrorId),
  });
}

function numberOf(input: SwitchInput, key: string): number | null {
  return input.numbers.get(key) ?? null;
}

function shortened(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 7);
}
