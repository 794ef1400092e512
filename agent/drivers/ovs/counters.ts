/** Counters of ports: the device's own, what rules let through, and what was dropped. Rules count for all ports of the host that have them. */
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { PortCounters } from '@kvasir/api/agent/network.ts';
import { cookieOf, type Purpose } from '@kvasir/ovs/compile/cookies.ts';
import { portKey } from '@kvasir/ovs/compile/numbers.ts';
import type { CookieCounters } from '@kvasir/ovs/openflow/client.ts';

const drops: readonly (readonly [Purpose, string])[] = [
  ['denied-out', 'no rule lets it out'],
  ['denied-in', 'no rule lets it in'],
  ['spoofed', 'anti-spoofing'],
];

/** @param statistics of the interface, as the switch names them: received is what the VM sent */
export function portCounters(
  nicId: string,
  slice: NetworkSlice,
  cookies: ReadonlyMap<bigint, CookieCounters>,
  statistics: Readonly<Record<string, number>>,
): PortCounters {
  const traffic = (side: 'rx' | 'tx') => ({
    packets: statistics[`${side}_packets`] ?? 0,
    bytes: statistics[`${side}_bytes`] ?? 0,
    dropped: statistics[`${side}_dropped`] ?? 0,
  });
  const ports = slice.ports.filter((port) => port.nicId === nicId);
  const groups = new Set(ports.flatMap(({ securityGroupIds }) => securityGroupIds));
  const ruleIds = slice.groups
    .filter(({ groupId }) => groups.has(groupId))
    .flatMap(({ rules }) => rules.map((rule) => rule.ruleId));
  const count = (cookie: bigint) => {
    const sum = cookies.get(cookie);
    return { packets: Number(sum?.packetCount ?? 0n), bytes: Number(sum?.byteCount ?? 0n) };
  };
  return {
    nicId,
    fromVm: traffic('rx'),
    toVm: traffic('tx'),
    rules: ruleIds.map((ruleId) => ({ ruleId, ...count(cookieOf('rule', ruleId)) })),
    drops: drops
      .map(([purpose, reason]) => {
        const counts = ports.map((port) => count(cookieOf(purpose, portKey(port))));
        const sum = (what: 'packets' | 'bytes') => counts.reduce((total, item) => total + item[what], 0);
        return { reason, packets: sum('packets'), bytes: sum('bytes') };
      })
      .filter(({ packets }) => packets > 0),
  };
}
