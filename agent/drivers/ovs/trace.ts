/** A packet's way through this host's flows, in the words of people: from `ofproto/trace`, with the rule behind each flow. Pure but for asking. */
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { networkTrace, TraceHop, TracePacket, TraceResult } from '@kvasir/api/agent/network.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { cookieOf, purposeOf } from '@kvasir/ovs/compile/cookies.ts';
import type { LocalSwitch } from '@kvasir/ovs/compile/local.ts';
import { table } from '@kvasir/ovs/compile/pipeline.ts';
import { parseTrace, type TracePass, type TraceStep } from '@kvasir/ovs/trace.ts';
import type { Exit } from './external-neighbours.ts';

export interface TraceScene {
  readonly slice: NetworkSlice;
  readonly local: LocalSwitch;
  readonly exits: ReadonlyMap<string, Exit>;
  readonly ownVtep: string | null;
}

type Params = ParamsOf<typeof networkTrace>;

const stages: Readonly<Record<keyof typeof table, string>> = {
  classify: 'arrival',
  tunnelled: 'arrival',
  antiSpoof: 'anti-spoofing',
  antiSpoofNd: 'anti-spoofing',
  respond: 'answers',
  advertise: 'answers',
  trackOut: 'sessions out',
  allowOut: 'rules out',
  tellApartOut: 'rules out',
  openOut: 'sessions out',
  enterRouter: 'router',
  route: 'router',
  natOut: 'translation out',
  natOutNew: 'translation out',
  nextHop: 'next hop',
  switchFromVm: 'switch',
  switchFromOutside: 'switch',
  replicate: 'replication',
  neighbour: 'neighbour',
  natIn: 'translation in',
  natInNew: 'translation in',
  trackIn: 'sessions in',
  allowIn: 'rules in',
  tellApartIn: 'rules in',
  openIn: 'sessions in',
  output: 'delivery',
  leave: 'uplink',
};
const stageOf = new Map(
  Object.entries(table).map(([name, number]) => [number as number, stages[name as keyof typeof table] ?? name]),
);
const dropReasons: Readonly<Record<string, string>> = {
  'denied-out': 'no rule lets it out',
  'denied-in': 'no rule lets it in',
  spoofed: 'anti-spoofing',
  invalid: 'it belongs to no valid session',
};

/** What to ask the switch: the first packet of a session, as `ofproto/trace` takes it. */
export function traceFlow({ from, packet }: Params, scene: TraceScene): string {
  return [...origin(from, scene), ...fieldsOf(packet)].join(',');
}

function origin(from: Params['from'], { slice, local, exits, ownVtep }: TraceScene): string[] {
  if ('nicId' in from) {
    const port = local.nicPorts[from.nicId];
    if (port === undefined) throw new KvasirError('not-found', { kind: 'nic', id: from.nicId });
    return [`in_port=${port}`];
  }
  if ('vtep' in from) {
    const network = slice.networks.find(({ networkId }) => networkId === from.networkId);
    if (network === undefined || local.tunnelPort === null) {
      throw new KvasirError('not-found', { kind: 'network', id: from.networkId });
    }
    const tunnel = [`in_port=${local.tunnelPort}`, `tun_id=${network.segment}`, `tun_src=${from.vtep}`];
    return ownVtep === null ? tunnel : [...tunnel, `tun_dst=${ownVtep}`];
  }
  const exit = exits.get(from.uplinkOfNetworkId);
  if (exit === undefined) throw new KvasirError('not-found', { kind: 'network', id: from.uplinkOfNetworkId });
  return exit.vlan === 0 ? [`in_port=${exit.port}`] : [`in_port=${exit.port}`, `dl_vlan=${exit.vlan}`];
}

function fieldsOf(packet: TracePacket): string[] {
  const isV6 = packet.sourceAddress.includes(':');
  const [type, source, destination] = isV6 ? ['0x86dd', 'ipv6_src', 'ipv6_dst'] : ['0x0800', 'nw_src', 'nw_dst'];
  const fields = [
    `dl_type=${type}`,
    `dl_src=${packet.sourceMac}`,
    `dl_dst=${packet.destinationMac}`,
    `${source}=${packet.sourceAddress}`,
    `${destination}=${packet.destinationAddress}`,
    `nw_proto=${packet.protocol}`,
    'nw_ttl=64',
  ];
  const ports = [`tp_src=${packet.sourcePort ?? 49_152}`, `tp_dst=${packet.destinationPort ?? 0}`];
  if (packet.protocol === 6) return [...fields, ...ports, 'tcp_flags=syn'];
  if (packet.protocol === 17) return [...fields, ...ports];
  if (packet.protocol === 1) return [...fields, 'icmp_type=8', 'icmp_code=0'];
  return packet.protocol === 58 ? [...fields, 'icmp_type=128', 'icmp_code=0'] : fields;
}

export function traceResult(text: string, packet: TracePacket, scene: TraceScene): TraceResult {
  const passes = parseTrace(text);
  const steps = passes.flatMap((pass) => ourSteps(pass));
  const rules = new Map(
    scene.slice.groups.flatMap(({ rules: list }) => list.map(({ ruleId }) => [cookieOf('rule', ruleId), ruleId])),
  );
  const hops = steps.map((step): TraceHop => {
    const cookie = step.flow?.cookie ?? null;
    return {
      stage: stageOf.get(step.table) ?? `table ${step.table}`,
      text: step.flow === null ? 'nothing takes it' : step.actions.join(', ') || 'drop',
      ruleId: cookie === null ? null : (rules.get(cookie) ?? null),
      cookie: cookie === null ? null : `0x${cookie.toString(16)}`,
    };
  });
  const to = steps.map((step) => destinationOf(step, scene)).find((found) => found !== null) ?? null;
  const left = changedPacket(passes.at(-1), packet);
  if (to === null) return { hops, verdict: 'dropped', to, droppedBy: reasonOf(steps.at(-1)), packet: left };
  return { hops, verdict: 'nicId' in to ? 'delivered' : 'sent', to, droppedBy: null, packet: left };
}

/** A packet that leaves passes other bridges as well: their flows are not ours. */
function ourSteps({ steps }: TracePass): TraceStep[] {
  const end = steps.findIndex(({ flow }) => flow !== null && purposeOf(flow.cookie) === null);
  return steps.slice(0, end === -1 ? steps.length : end);
}

function destinationOf(step: TraceStep, { slice, local, exits }: TraceScene): TraceResult['to'] {
  for (const action of step.actions) {
    const port = Number(/^output:(\d+)$/.exec(action)?.[1] ?? Number.NaN);
    if (Number.isNaN(port)) continue;
    const nic = Object.entries(local.nicPorts).find(([, number]) => number === port);
    if (nic !== undefined) return { nicId: nic[0] };
    if (port === local.tunnelPort) {
      const field = (name: string): string | undefined =>
        step.actions.map((item) => new RegExp(`^set_field:(\\S+)->${name}$`).exec(item)?.[1]).findLast(Boolean);
      const network = slice.networks.find(({ kind, segment }) => {
        return kind === 'vxlan' && segment === Number(field('tun_id') ?? -1);
      });
      return { vtep: field('tun_dst') ?? '', networkId: network?.networkId ?? '' };
    }
    const exit = [...exits].find(([, found]) => found.port === port);
    const network = slice.networks.find(({ networkId }) => networkId === exit?.[0]);
    const uplink = slice.uplinks.find(({ switchId }) => switchId === network?.switchId)?.name ?? 'default';
    if (network !== undefined) return { uplink, networkId: network.networkId };
  }
  return null;
}

function reasonOf(last: TraceStep | undefined): string {
  const stage = stageOf.get(last?.table ?? -1) ?? 'the switch';
  if (last === undefined || last.flow === null) return `nothing takes it at: ${stage}`;
  return dropReasons[purposeOf(last.flow.cookie) ?? ''] ?? `it ends at: ${stage}`;
}

function changedPacket(last: TracePass | undefined, before: TracePacket): TracePacket | null {
  const flow = `,${last?.finalFlow ?? ''},`;
  const value = (...names: string[]): string | undefined =>
    names.map((name) => new RegExp(`,${name}=([^,]+),`).exec(flow)?.[1]).find((found) => found !== undefined);
  const port = (name: string, otherwise: number | null): number | null => {
    return otherwise === null ? null : Number(value(name) ?? otherwise);
  };
  const after: TracePacket = {
    protocol: before.protocol,
    sourceMac: value('dl_src') ?? before.sourceMac,
    destinationMac: value('dl_dst') ?? before.destinationMac,
    sourceAddress: value('nw_src', 'ipv6_src') ?? before.sourceAddress,
    destinationAddress: value('nw_dst', 'ipv6_dst') ?? before.destinationAddress,
    sourcePort: port('tp_src', before.sourcePort),
    destinationPort: port('tp_dst', before.destinationPort),
  };
  return JSON.stringify(after) === JSON.stringify(before) ? null : after;
}
