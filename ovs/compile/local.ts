/** What only the host knows and the compiler needs beside the slice: switch port numbers, and small numbers for long ids. */
import type { Numbers } from './numbers.ts';

export interface LocalSwitch {
  readonly numbers: Numbers;
  /** NIC -> OpenFlow port. A NIC that is not plugged in yet is absent: its addresses are known, nothing is delivered. */
  readonly nicPorts: Readonly<Record<string, number>>;
  /** Switch -> OpenFlow port of its uplink on this bridge. */
  readonly uplinkPorts: Readonly<Record<string, number>>;
  /** For flat networks without a switch; null: these stay on the host. */
  readonly defaultUplinkPort: number | null;
  /** The one VXLAN port (`key=flow`, `remote_ip=flow`); null: no VXLAN network reaches beyond this host. */
  readonly tunnelPort: number | null;
  /** Where this host's tunnels end. */
  readonly tunnelAddress: string | null;
  /** The internal port behind which metadata and DNS are served; null: neither is. */
  readonly services: { readonly port: number; readonly macAddress: string } | null;
  /** Any MAC of the bridge: the hop between the services and the guests. */
  readonly bridgeMac: string;
  /** External network -> address of a neighbour -> MAC, as far as resolved. */
  readonly neighbours: Readonly<Record<string, Readonly<Record<string, string>>>>;
}
