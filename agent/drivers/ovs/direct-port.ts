/** What a NIC needs of the hardware when a virtual function is to carry it: all of it stands in the slice. */
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { WantedFunction } from './sriov/virtual-functions.ts';

/** @throws host-failed for a network that no device of this host carries */
export function wantedFunction(slice: NetworkSlice, { nicId, networkId, macAddress }: NicSpec): WantedFunction {
  const network = slice.networks.find((each) => each.networkId === networkId);
  if (network === undefined) throw new KvasirError('not-found', { kind: 'network', id: networkId });
  if (network.kind === 'vxlan' || network.switchId === null) {
    throw new KvasirError('host-failed', { reason: `no device of this host carries the network ${network.name}` });
  }
  const port = slice.ports.find((each) => each.nicId === nicId && each.guestVlan === null);
  const limit = port?.qos?.fromVm ?? null;
  return {
    macAddress,
    nics: slice.uplinks.filter(({ switchId }) => switchId === network.switchId).flatMap(({ nics }) => nics),
    vlanId: network.kind === 'vlan' ? network.segment : null,
    // The hardware counts in whole megabits, and takes 0 for no limit.
    maxSendMbps: limit === null ? null : Math.max(1, Math.round(limit.rateKbps / 1000)),
  };
}
