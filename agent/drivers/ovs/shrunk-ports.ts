/**
 * Which ports lost a permission from one slice to the next: their running sessions must be cut, because connection tracking lets
 * through what it once accepted. Gains cut nothing.
 */
import { holdsCut } from '@kvasir/api/agent/merge-cuts.ts';
import type { NetworkSlice, SlicePort, SliceRule } from '@kvasir/api/agent/network-slice.ts';
import { portKey } from '@kvasir/ovs/compile/numbers.ts';

/** Keys of ports that were in both slices and may do less now. */
export function shrunkPorts(before: NetworkSlice, after: NetworkSlice): string[] {
  const [old, now] = [new Permissions(before), new Permissions(after)];
  const ports = new Map(after.ports.map((port) => [portKey(port), port]));
  return before.ports
    .filter((port) => {
      const later = ports.get(portKey(port));
      return later !== undefined && shrank(port, old, later, now);
    })
    .map(portKey);
}

function shrank(port: SlicePort, old: Permissions, later: SlicePort, now: Permissions): boolean {
  if (port.networkId !== later.networkId || port.macAddress !== later.macAddress) return true;
  if (port.addresses.some((address) => !later.addresses.includes(address))) return true;
  if (port.connected && !later.connected) return true;
  if (!port.filtered && later.filtered) return true;
  if (!later.filtered) return false;
  if ((later.cuts ?? []).some((cut) => !holdsCut(port.cuts ?? [], cut))) return true;
  const allowed = new Set(later.securityGroupIds.flatMap((groupId) => [...now.rulesOf(groupId).keys()]));
  return port.securityGroupIds.some((groupId) =>
    [...old.rulesOf(groupId)].some(([text, rule]) => !allowed.has(text) || old.lost(rule, now)),
  );
}

class Permissions {
  readonly #rules: ReadonlyMap<string, ReadonlyMap<string, SliceRule>>;
  readonly #addresses: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #lost = new Map<string, boolean>();

  constructor(slice: NetworkSlice) {
    this.#rules = new Map(
      slice.groups.map(({ groupId, rules }) => [groupId, new Map(rules.map((rule) => [contentOf(rule), rule]))]),
    );
    this.#addresses = new Map(slice.addressSets.map(({ groupId, addresses }) => [groupId, new Set(addresses)]));
  }

  /** By content: the same rule under a new id takes nothing away. */
  rulesOf(groupId: string): ReadonlyMap<string, SliceRule> {
    return this.#rules.get(groupId) ?? new Map<string, SliceRule>();
  }

  /** Whether the group that a rule speaks of has lost an address. */
  lost({ remote }: SliceRule, later: Permissions): boolean {
    if (remote === null || !('groupId' in remote)) return false;
    const { groupId } = remote;
    const known = this.#lost.get(groupId);
    if (known !== undefined) return known;
    const still = later.#addresses.get(groupId);
    const lost = [...(this.#addresses.get(groupId) ?? [])].some((address) => still?.has(address) !== true);
    this.#lost.set(groupId, lost);
    return lost;
  }
}

function contentOf({ direction, family, protocol, ports, icmp, remote }: SliceRule): string {
  return JSON.stringify([direction, family, protocol, ports, icmp, remote]);
}
