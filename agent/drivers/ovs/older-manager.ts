/** Until the manager sends ports: the plugged NICs of flat networks as ports without policy, as it was before. */
import type { NetworkSlice, SlicePort } from '@kvasir/api/agent/network-slice.ts';
import type { PluggedNic } from './rows/wanted-switch.ts';

export function withPortsOf(slice: NetworkSlice, plugged: Iterable<PluggedNic>): NetworkSlice {
  if (slice.ports.length > 0) return slice;
  const flat = new Set(slice.networks.filter(({ kind }) => kind === 'flat').map(({ networkId }) => networkId));
  const ports = [...plugged].filter(({ networkId, macAddress }) => flat.has(networkId) && macAddress !== '');
  return { ...slice, ports: ports.map(portOf) };
}

function portOf({ nicId, vmId, networkId, macAddress }: PluggedNic): SlicePort {
  return {
    ...{ nicId, vmId, networkId, macAddress },
    addresses: [],
    name: null,
    antiSpoofing: false,
    filtered: false,
    securityGroupIds: [],
    phase: 'active',
    connected: true,
    qos: null,
    guestVlan: null,
    hardware: false,
  };
}
