/** Segments: VLAN ids on a switch, VXLAN network identifiers (VNIs) over all hosts, and how large frames may be in them. */

export const vlanIds = { first: 1, last: 4094 } as const;
export const vnis = { first: 1, last: 16_777_214 } as const;

/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
export const vxlanOverheadBytes = 50;
/** Where nobody said otherwise. */
export const usualMtu = 1500;

/** The lowest VLAN id that is free; undefined: none is. */
export function lowestVlan(taken: ReadonlySet<number>): number | undefined {
  for (let vlan = vlanIds.first; vlan <= vlanIds.last; vlan += 1) if (!taken.has(vlan)) return vlan;
  return undefined;
}

/** A VNI by chance (`fraction` from 0 to 1): two managers' networks hardly ever meet when their clouds are joined. */
export function someVni(fraction: number): number {
  return vnis.first + Math.floor(fraction * (vnis.last - vnis.first + 1));
}

/**
 * The largest MTU that fits. Tunnels run over whatever the hosts' addresses are on: the smallest of the switches' MTUs, or
 * the usual one. Without a switch a flat network's carrier is not known and not judged.
 */
export function largestMtu(
  kind: 'flat' | 'vlan' | 'vxlan',
  switchMtu: number | null,
  allSwitchMtus: readonly number[],
): number {
  if (kind === 'vxlan')
    return Math.min(...allSwitchMtus, ...(allSwitchMtus.length === 0 ? [usualMtu] : [])) - vxlanOverheadBytes;
  return switchMtu ?? 9216;
}

export function defaultMtu(kind: 'flat' | 'vlan' | 'vxlan', largest: number): number {
  return Math.min(largest, kind === 'vxlan' ? usualMtu - vxlanOverheadBytes : usualMtu);
}
