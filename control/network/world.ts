/** What the slices of hosts are made of: a picture of networks, ports and policy, as consistent as one transaction. */
import type { SliceGroup, SliceMirror, SlicePort, SliceSubnet, SliceUplink } from '@kvasir/api/agent/network-slice.ts';

export interface WorldHost {
  readonly hostId: string;
  /** null: it takes no part in tunnels. */
  readonly tunnelAddress: string | null;
}

export interface WorldNetwork {
  readonly networkId: string;
  readonly name: string;
  readonly kind: 'flat' | 'vlan' | 'vxlan';
  readonly segment: number;
  readonly switchId: string | null;
  readonly mtu: number;
  readonly domain: string | null;
  /** Ports of it are of several projects. */
  readonly shared: boolean;
  readonly subnets: readonly SliceSubnet[];
  readonly externalVteps: readonly string[];
}

/** A NIC, or a VLAN of a trunk (`guestVlan`). */
export interface WorldPort extends Omit<SlicePort, 'phase' | 'projectId'> {
  readonly projectId: string;
  readonly createdAt: number;
  /** Where its VM is. */
  readonly hostId: string | null;
  /** Where its VM is on the way to. */
  readonly incomingHostId: string | null;
}

export interface WorldRouter {
  readonly routerId: string;
  readonly name: string;
  readonly macAddress: string;
  readonly interfaces: readonly {
    readonly networkId: string;
    readonly address: string;
    readonly prefixLength: number;
  }[];
  readonly gateway: {
    readonly hostId: string;
    readonly externalNetworkId: string;
    readonly macAddress: string;
    readonly address: string;
    readonly prefixLength: number;
    readonly nextHop: string | null;
    readonly snat: boolean;
    readonly floating: readonly {
      readonly address: string;
      readonly fixedAddress: string;
      readonly networkId: string;
    }[];
  } | null;
}

export interface SwitchWorld {
  readonly hosts: readonly WorldHost[];
  readonly uplinks: readonly (SliceUplink & { readonly hostId: string })[];
  readonly networks: readonly WorldNetwork[];
  readonly ports: readonly WorldPort[];
  readonly groups: readonly SliceGroup[];
  /** Addresses of the members of groups that rules name. */
  readonly addressSets: ReadonlyMap<string, readonly string[]>;
  readonly routers: readonly WorldRouter[];
  readonly mirrors: readonly SliceMirror[];
}
