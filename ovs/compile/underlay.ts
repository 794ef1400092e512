/**
 * Tables 1 and 61: the network under the tunnels. A tunnelled frame is taken only from hosts that the slice names, or from a foreign VTEP for
 * the networks that have it. And nobody here plays one of them: where frames leave untunnelled, which may be the very wire that
 * carries the tunnels, none has a VTEP's address as its sender, and no VXLAN goes to a VTEP. Whatever way it came there: sent by a
 * guest, routed, or translated.
 */
import { type Address, parseAddress } from './addresses.ts';
import { output, resubmit, set, tagged } from './actions.ts';
import { cookieOf } from './cookies.ts';
import type { FlowSet } from './flow-set.ts';
import { arp, ip, protocol } from './matches.ts';
import type { Model } from './model.ts';
import { table } from './pipeline.ts';
import type { Slice } from './slice.ts';

const vxlanPort = 4789;

export function underlay({ slice, local, domains }: Model, flows: FlowSet): void {
  const cookie = cookieOf('pipeline');
  if (local.tunnelPort !== null && domains.some(({ tunnel }) => tunnel !== null)) {
    for (const tun_src of ipv4Of(hostVteps(slice))) {
      const from = { in_port: local.tunnelPort, tun_src };
      flows.add(cookie, table.classify, 100, from, [resubmit(table.tunnelled)]);
    }
  }
  for (const { number, networkIds, tunnel, uplink, externalVteps } of domains) {
    const network = cookieOf('network', networkIds[0]);
    if (tunnel !== null) {
      const enter = [set('metadata', number), resubmit(table.switchFromOutside)];
      const vni = { in_port: tunnel.port, tun_id: tunnel.vni };
      flows.add(network, table.tunnelled, 100, vni, enter);
      for (const tun_src of ipv4Of(externalVteps)) flows.add(network, table.classify, 110, { ...vni, tun_src }, enter);
    }
    if (uplink === null) continue;
    const tag = uplink.vlan === 0 ? [] : tagged(uplink.vlan);
    flows.add(network, table.leave, 100, { metadata: number }, [...tag, output(uplink.port)]);
  }
  if (!domains.some(({ uplink }) => uplink !== null)) return;
  const foreign = slice.networks.flatMap(({ externalVteps }) => externalVteps);
  for (const vtep of ipv4Of([...hostVteps(slice), ...foreign, local.tunnelAddress ?? ''])) {
    flows.add(cookie, table.leave, 200, { ...ip.ipv4, ipv4_src: vtep }, []);
    flows.add(cookie, table.leave, 200, { ...arp, arp_spa: vtep }, []);
    const to = { ...ip.ipv4, ip_proto: protocol.udp, ipv4_dst: vtep };
    // Of a fragment the switch knows no ports: they are 0.
    for (const port of [vxlanPort, 0]) flows.add(cookie, table.leave, 200, { ...to, udp_dst: port }, []);
  }
}

/** Of all hosts that frames may come from: one that is not among them would get no answer either. */
function hostVteps({ networks, routers }: Slice): string[] {
  return [
    ...networks.flatMap(({ memberVteps, remotePorts }) => [...memberVteps, ...remotePorts.flatMap((p) => p.vteps)]),
    ...routers.flatMap(({ gateway }) => (gateway === null ? [] : [gateway.vtep])),
  ];
}

/** Sorted, each once. */
function ipv4Of(vteps: readonly string[]): bigint[] {
  const addresses = [...new Set(vteps)].filter((text) => text !== '').map(parseAddress);
  const isUsable = ({ family, value }: Address): boolean => family === 'ipv4' && value !== 0n;
  return [...new Set(addresses.filter(isUsable).map(({ value }) => value))].sort((a, b) => (a < b ? -1 : 1));
}
