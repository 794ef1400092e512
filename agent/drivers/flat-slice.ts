/** The smallest slice there is: one flat network without a switch, with the host's default uplink. For tests and trials. */
import { emptySlice, type NetworkSlice } from '@kvasir/api/agent/network-slice.ts';

export function flatSlice(networkId: string, mtu = 1450): NetworkSlice {
  const network = {
    networkId,
    name: 'flat',
    kind: 'flat' as const,
    segment: 0,
    switchId: null,
    mtu,
    domain: null,
    subnets: [],
    remotePorts: [],
    memberVteps: [],
    externalVteps: [],
  };
  return { ...emptySlice, networks: [network] };
}
