/**
 * What Kvasir wants in the switch's database, as data. Names are the keys: of bridges, ports, interfaces. Rows that Kvasir makes
 * carry `kvasir` in their external_ids (interfaces of NICs: `iface-id`); others are never touched.
 */

export interface WantedInterface {
  readonly name: string;
  readonly type: '' | 'internal' | 'patch' | 'vxlan' | 'gre' | 'erspan';
  readonly options: Readonly<Record<string, string>>;
  readonly externalIds: Readonly<Record<string, string>>;
  /** The OpenFlow port number that it asks for; null: any. */
  readonly number: number | null;
  /** Of an internal interface; absent: the switch chooses. */
  readonly macAddress?: string;
}

/** Towards the VM: linux-htb. */
export interface WantedQos {
  readonly maxBitsPerSecond: number;
  readonly burstBits: number;
}

export interface WantedPort {
  readonly name: string;
  readonly interfaces: readonly WantedInterface[];
  readonly bond: {
    readonly mode: 'active-backup' | 'balance-slb' | 'balance-tcp';
    readonly lacp: 'active' | 'off';
    readonly fast: boolean;
  } | null;
  readonly qos: WantedQos | null;
}

export interface WantedMirror {
  readonly name: string;
  /** Names of ports of the same bridge. */
  readonly fromPorts: readonly string[];
  readonly toPorts: readonly string[];
  /** Only frames with this tag on these ports; 0: without one; null: all. */
  readonly vlan: number | null;
  readonly output: string;
}

export interface WantedBridge {
  readonly name: string;
  /** false: the administrator's; only our ports in it are ours. */
  readonly own: boolean;
  /** Of a bridge that is made now; an existing one keeps its own. */
  readonly datapathType: 'system' | 'netdev';
  /** secure: forwards by flows only. standalone: a plain switch, for bonds. */
  readonly failMode: 'secure' | 'standalone';
  readonly ports: readonly WantedPort[];
  readonly mirrors: readonly WantedMirror[];
}

export function plainPort(wanted: WantedInterface): WantedPort {
  return { name: wanted.name, interfaces: [wanted], bond: null, qos: null };
}

export function patchPort(name: string, peer: string, number: number | null): WantedPort {
  return plainPort({ name, type: 'patch', options: { peer }, externalIds: { kvasir: 'patch' }, number });
}
