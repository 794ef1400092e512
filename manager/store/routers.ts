/** Routers between networks, and the floating addresses that they translate. */
import type { Labels } from '@kvasir/api/schema.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface RouterRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  readonly macAddress: string;
  readonly externalNetworkId: string | null;
  /** Of the router on the external network. */
  readonly externalAddress: string | null;
  readonly externalMacAddress: string;
  readonly snat: boolean;
  /** The host that translates now; chosen by a controller. */
  readonly gatewayHostId: string | null;
  /** That host is to end its part, and has perhaps not done so yet: nobody is told to translate. */
  readonly gatewayEnding: boolean;
}

export const routers = new Table<RouterRow>({
  table: 'routers',
  kind: 'router',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    macAddress: 'text',
    externalNetworkId: 'text',
    externalAddress: 'text',
    externalMacAddress: 'text',
    snat: 'flag',
    gatewayHostId: 'text',
    gatewayEnding: 'flag',
  },
});

export interface RouterInterfaceRow {
  readonly routerId: string;
  readonly networkId: string;
  readonly family: 'ipv4' | 'ipv6';
  readonly address: string;
  readonly prefixLength: number;
}

/** Removed with their router. */
export const routerInterfaces = new Table<RouterInterfaceRow>({
  table: 'routerInterfaces',
  kind: 'router interface',
  columns: { routerId: 'text', networkId: 'text', family: 'text', address: 'text', prefixLength: 'integer' },
  key: 'routerId',
});

export interface FloatingAddressRow extends Versioned {
  /** The address itself: it is found by it. */
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  /** The external network. */
  readonly networkId: string;
  /** null: leads nowhere. */
  readonly portId: string | null;
  readonly fixedAddress: string | null;
}

export const floatingAddresses = new Table<FloatingAddressRow>({
  table: 'floatingAddresses',
  kind: 'floating address',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    networkId: 'text',
    portId: 'text',
    fixedAddress: 'text',
  },
});
