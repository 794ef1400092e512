/**
 * Table 20: what need not travel is answered here. Who has this address (ARP, neighbour discovery) is known to the manager, so the
 * question never leaves the host; DHCP and router solicitations go to the agent; metadata and DNS to the host's services.
 */
import { parseAddress, parseMac } from './addresses.ts';
import { arpAnswer, backToSender, move, output, resubmit, set } from './actions.ts';
import { questionMeter, servicesMeter } from './classify.ts';
import { cookieOf } from './cookies.ts';
import type { Domain, Owner } from './domains.ts';
import type { FlowSet } from './flow-set.ts';
import { arp, dhcpReply, dhcpRequest, icmpv6, ip } from './matches.ts';
import { type Model, plugged, type PluggedPort } from './model.ts';
import type { Meter } from '../flow.ts';
import { encodeQuestion } from './packet-in.ts';
import { register, serviceAddress, serviceAddressesOfPort, serviceClient, table } from './pipeline.ts';

const service = parseAddress(serviceAddress).value;
const solicitation = { ...icmpv6, icmpv6_type: 135, icmpv6_code: 0, nd_options_type: 1 } as const;
/** The answer was asked for, and replaces what the guest remembers. */
const solicitedOverride = 0x60000000;
/** What a guest may ask of the agent, and send to its services (some hundred questions a second); more is dropped. */
const questionRate = { rateKbps: 64, burstKb: 64 } as const;
const servicesRate = { rateKbps: 256, burstKb: 256 } as const;

export function respond(model: Model, flows: FlowSet): Meter[] {
  for (const domain of model.domains) {
    for (const owner of domain.owners) answerFor(owner, domain, flows);
    if (model.local.services !== null) answerForServices(domain, model, flows);
    if (domain.dhcpv4) {
      // There is one DHCP server on this network, and it is no guest.
      const fields = { metadata: domain.number, ...dhcpReply };
      flows.add(cookieOf('network', domain.networkIds[0]), table.respond, 200, fields, []);
    }
  }
  const meters: Meter[] = [];
  for (const port of plugged(model)) {
    ownQuestions(port, flows);
    meters.push(...askAgent(port, flows));
    if (model.local.services !== null) meters.push(...toServices(port, model.local.services, flows));
  }
  // The link-layer address can be set only where the match says that it is an advertisement.
  flows.add(cookieOf('pipeline'), table.advertise, 100, { ...icmpv6, icmpv6_type: 136, icmpv6_code: 0 }, [
    set('nd_options_type', 2),
    move('eth_src', 'nd_tll'),
    set('nd_reserved', solicitedOverride),
    ...backToSender,
  ]);
  const onward = [resubmit(table.trackOut)];
  if (model.local.services !== null) {
    flows.add(cookieOf('pipeline'), table.respond, 170, { ...ip.ipv4, ipv4_dst: service }, []);
  }
  flows.add(cookieOf('pipeline'), table.respond, 0, {}, onward);
  return meters;
}

function answerFor({ family, value, mac }: Owner, { number, networkIds }: Domain, flows: FlowSet): void {
  const cookie = cookieOf('network', networkIds[0]);
  if (family === 'ipv4') {
    const request = { metadata: number, ...arp, arp_op: 1, arp_tpa: value };
    flows.add(cookie, table.respond, 100, request, [...arpAnswer(mac, value), ...backToSender]);
  } else {
    const request = { metadata: number, ...solicitation, nd_target: value };
    flows.add(cookie, table.respond, 100, request, [
      move('eth_src', 'eth_dst'),
      set('eth_src', mac),
      move('ipv6_src', 'ipv6_dst'),
      set('ipv6_src', value),
      set('icmpv6_type', 136),
      resubmit(table.advertise),
    ]);
  }
}

/** A gateway address that nobody has still leads to the services, so that guests reach them by their default route. */
function answerForServices({ number, networkIds, ...domain }: Domain, { slice, local }: Model, flows: FlowSet): void {
  const mac = parseMac(local.services?.macAddress as string);
  const subnets = slice.networks.filter((network) => networkIds.includes(network.networkId)).flatMap((n) => n.subnets);
  const own = domain.uplink === null && domain.externalVteps.length === 0;
  const gateways = own ? subnets.flatMap(({ gateway }) => (gateway === null ? [] : [parseAddress(gateway)])) : [];
  for (const { family, value } of [{ family: 'ipv4', value: service }, ...gateways]) {
    if (family !== 'ipv4' || domain.owners.some((owner) => owner.family === family && owner.value === value)) continue;
    const request = { metadata: number, ...arp, arp_op: 1, arp_tpa: value };
    const cookie = cookieOf('network', networkIds[0]);
    flows.add(cookie, table.respond, 100, request, [...arpAnswer(mac, value), ...backToSender]);
  }
}

/** Whoever asks for its own address wants to know of a second owner, or announces itself: no answer from us. */
function ownQuestions({ key, number, addresses }: PluggedPort, flows: FlowSet): void {
  for (const { family, value } of addresses) {
    if (family !== 'ipv4') continue;
    const question = { [register.from]: number, ...arp, arp_op: 1, arp_tpa: value };
    flows.add(cookieOf('port', key), table.respond, 110, question, [resubmit(table.trackOut)]);
  }
}

function askAgent({ key, number, domain }: PluggedPort, flows: FlowSet): Meter[] {
  const from = { [register.from]: number };
  const meterId = questionMeter(number);
  const ask = (asks: 'dhcp' | 'router-advertisement') =>
    [
      { do: 'meter', meterId },
      { do: 'controller', userdata: encodeQuestion({ asks, port: number }) },
    ] as const;
  const cookie = cookieOf('port', key);
  if (domain.dhcpv4) flows.add(cookie, table.respond, 190, { ...from, ...dhcpRequest }, ask('dhcp'));
  if (domain.routerAdvertisements) {
    const question = { ...from, ...icmpv6, icmpv6_type: 133 };
    flows.add(cookie, table.respond, 190, question, ask('router-advertisement'));
  }
  return domain.dhcpv4 || domain.routerAdvertisements ? [{ meterId, ...questionRate }] : [];
}

function toServices(
  port: PluggedPort,
  services: { readonly port: number; readonly macAddress: string },
  flows: FlowSet,
): Meter[] {
  const meterId = servicesMeter(port.number);
  const own = port.addresses.filter(({ family }) => family === 'ipv4').slice(0, serviceAddressesOfPort);
  for (const [index, { value }] of own.entries()) {
    const request = { [register.from]: port.number, ...ip.ipv4, ipv4_src: value, ipv4_dst: service };
    flows.add(cookieOf('port', port.key), table.respond, 180, request, [
      { do: 'meter', meterId },
      set('eth_dst', parseMac(services.macAddress)),
      set('ipv4_src', serviceClient(port.number, index)),
      output(services.port),
    ]);
  }
  return own.length > 0 ? [{ meterId, ...servicesRate }] : [];
}
