/**
 * Table 0: which network a frame belongs to, and which port sent it (tunnelled ones: see underlay.ts). A frame of a VNI, a VLAN or a
 * guest VLAN that is not served here matches nothing. Tags end here: inside the pipeline frames are untagged.
 */
import type { Action, Meter } from '../flow.ts';
import { parseMac } from './addresses.ts';
import { arpAnswer, resubmit, set } from './actions.ts';
import { cookieOf } from './cookies.ts';
import type { Domain } from './domains.ts';
import type { Fields, FlowSet } from './flow-set.ts';
import { arp, ip, taggedWith, untagged } from './matches.ts';
import { type LocalPort, type Model, plugged, type PluggedPort } from './model.ts';
import { register, serviceAddressesOfPort, serviceClient, table } from './pipeline.ts';

export function classify(model: Model, flows: FlowSet): Meter[] {
  for (const domain of model.domains) fromUplink(domain, flows);
  const nics = new Map(model.ports.filter(({ port }) => port.guestVlan === null).map((nic) => [nic.port.nicId, nic]));
  const meters = new Map<number, Meter>();
  for (const port of plugged(model)) {
    for (const meter of fromPort(port, nics.get(port.port.nicId) ?? port, flows)) meters.set(meter.meterId, meter);
  }
  fromServices(model, flows);
  return [...meters.values()];
}

function fromUplink({ number, uplink, networkIds }: Domain, flows: FlowSet): void {
  if (uplink === null) return;
  const cookie = cookieOf('network', networkIds[0]);
  const enter = [set('metadata', number), resubmit(table.switchFromOutside)];
  const tag = uplink.vlan === 0 ? untagged : taggedWith(uplink.vlan);
  const untag: Action[] = uplink.vlan === 0 ? [] : [{ do: 'pop-vlan' }];
  flows.add(cookie, table.classify, 100, { in_port: uplink.port, ...tag }, [...untag, ...enter]);
}

/** The limit is one of the NIC: the VLANs of a trunk share it. */
function fromPort({ key, port, number, openflowPort, domain }: PluggedPort, nic: LocalPort, flows: FlowSet): Meter[] {
  const cookie = cookieOf('port', key);
  const limit = nic.port.qos?.fromVm ?? null;
  const meterId = portMeter(nic.number);
  const actions = (mark: readonly Action[]): Action[] => [
    ...(limit === null ? [] : [{ do: 'meter', meterId } as const]),
    ...(port.guestVlan === null ? [] : [{ do: 'pop-vlan' } as const]),
    ...mark,
    set('metadata', domain.number),
    set(register.from, number),
    resubmit(table.antiSpoof),
  ];
  const from: Fields = { in_port: openflowPort, ...(port.guestVlan === null ? untagged : taggedWith(port.guestVlan)) };
  flows.add(cookie, table.classify, 100, from, actions([]));
  const dscp = nic.port.qos?.dscp ?? null;
  if (dscp !== null) {
    for (const family of [ip.ipv4, ip.ipv6]) {
      flows.add(cookie, table.classify, 110, { ...from, ...family }, actions([set('ip_dscp', dscp)]));
    }
  }
  return limit === null ? [] : [{ meterId, ...limit }];
}

/** What the services answer goes straight to the port: they are ours, no rule applies. */
function fromServices({ local, ports }: Model, flows: FlowSet): void {
  if (local.services === null) return;
  const { port: services, macAddress } = local.services;
  // Any of the guests' addresses there is behind one hop, which need not be a real one.
  flows.add(cookieOf('pipeline'), table.classify, 100, { in_port: services, ...arp, arp_op: 1 }, [
    { do: 'move', from: bits('arp_tpa', 32), to: bits('reg0', 32) },
    ...arpAnswer(parseMac(local.bridgeMac), 0n),
    { do: 'move', from: bits('reg0', 32), to: bits('arp_spa', 32) },
    { do: 'output', port: 'in_port' },
  ]);
  for (const { key, number, mac, addresses, openflowPort } of ports) {
    if (openflowPort === null) continue;
    addresses
      .filter(({ family }) => family === 'ipv4')
      .slice(0, serviceAddressesOfPort)
      .forEach(({ value }, index) => {
        const to = { in_port: services, ...ip.ipv4, ipv4_dst: serviceClient(number, index) };
        flows.add(cookieOf('port', key), table.classify, 100, to, [
          set('eth_src', parseMac(macAddress)),
          set('eth_dst', mac),
          set('ipv4_dst', value),
          set(register.to, number),
          resubmit(table.output),
        ]);
      });
  }
}

function bits(field: 'arp_tpa' | 'arp_spa' | 'reg0', count: number) {
  return { field, start: 0, count };
}

/**
 * The meter that limits what a port sends, or what a router hears; `questionMeter` limits what it asks the agent, `servicesMeter`
 * what it sends to metadata and DNS.
 */
export function portMeter(number: number): number {
  return number * 3;
}

export function questionMeter(number: number): number {
  return number * 3 + 1;
}

export function servicesMeter(number: number): number {
  return number * 3 + 2;
}
