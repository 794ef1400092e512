/** What a request makes of a network: its kind, segment, switch, MTU and subnets; everything that does not fit is refused here. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { SubnetCreate } from '@kvasir/api/resources/network.ts';
import { formatAddress, parseAddress } from '@kvasir/control/network/address.ts';
import { defaultMtu, largestMtu, lowestVlan, someVni, vlanIds } from '@kvasir/control/network/segment.ts';
import { familyOf, firstOverlap, isFault, planSubnet, type Subnet } from '@kvasir/control/network/subnet.ts';
import type { Static } from 'typebox';
import type { Executor } from '../store/database.ts';
import { isVniTaken, type NetworkRow, networks } from '../store/networks.ts';
import { type SwitchRow, switches } from '../store/switches.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Change } from './call.ts';

type Kind = NetworkRow['kind'];

export interface SegmentRequest {
  readonly kind?: Kind | undefined;
  readonly segment?: number | undefined;
  readonly switch?: string | undefined;
}

export type PlannedSegment = Pick<NetworkRow, 'kind' | 'segment' | 'switchId'>;

/** @throws invalid-request, not-found, name-taken with the field */
export async function planSegment(change: Change, asked: SegmentRequest): Promise<PlannedSegment> {
  const on = asked.switch === undefined ? undefined : await findSwitchAt(change.db, asked.switch, '/body/switch');
  const kind = asked.kind ?? (on === undefined ? 'vxlan' : asked.segment === undefined ? 'flat' : 'vlan');
  switch (kind) {
    case 'flat':
      if (asked.segment !== undefined) throw invalidField('/body/segment', 'is not for a flat network');
      return { kind, segment: 0, switchId: await flatSwitch(change.db, on) };
    case 'vlan':
      if (on === undefined) throw invalidField('/body/switch', 'is needed: a VLAN is one of a switch');
      return { kind, segment: await vlanOn(change.db, on, asked.segment), switchId: on.id };
    case 'vxlan':
      if (on !== undefined) throw invalidField('/body/switch', 'is not for a VXLAN network');
      return { kind, segment: await vni(change, asked.segment), switchId: null };
  }
}

async function flatSwitch(db: Executor, on: SwitchRow | undefined): Promise<string | null> {
  if (on === undefined) return null;
  const there = await networks.find(db, { switchId: on.id, kind: 'flat' });
  if (there) throw taken('/body/switch', 'flat network of the switch', on.name);
  return on.id;
}

async function vlanOn(db: Executor, on: SwitchRow, asked: number | undefined): Promise<number> {
  const rows = await networks.select(db, { switchId: on.id, kind: 'vlan' });
  const used = new Set(rows.map(({ segment }) => segment));
  if (asked === undefined) {
    const free = lowestVlan(used);
    if (free === undefined)
      throw new KvasirError('unsupported', { reason: `Every VLAN of switch ${on.name} is taken` });
    return free;
  }
  if (asked > vlanIds.last) throw invalidField('/body/segment', `is no VLAN id: ${vlanIds.last} is the largest`);
  if (used.has(asked)) throw taken('/body/segment', `network with the VLAN on switch ${on.name}`, String(asked));
  return asked;
}

async function vni(change: Change, asked: number | undefined): Promise<number> {
  if (asked !== undefined) {
    if (await isVniTaken(change.db, asked)) throw taken('/body/segment', 'network with the VNI', String(asked));
    return asked;
  }
  for (;;) {
    const segment = someVni(change.env.ids.fraction());
    if (!(await isVniTaken(change.db, segment))) return segment;
  }
}

/** The MTU asked for, or what fits. @throws invalid-request */
export async function planMtu(db: Executor, network: PlannedSegment, asked: number | undefined): Promise<number> {
  const all = await switches.select(db);
  const own = all.find(({ id }) => id === network.switchId)?.mtu ?? null;
  const largest = largestMtu(
    network.kind,
    own,
    all.map(({ mtu }) => mtu),
  );
  if (asked !== undefined && asked > largest) {
    const why = network.kind === 'vxlan' ? 'the physical network, less 50 bytes for VXLAN' : 'the physical network';
    throw invalidField('/body/mtu', `is too large: ${why} allows ${largest}`);
  }
  return asked ?? defaultMtu(network.kind, largest);
}

/** @throws invalid-request with the path of the field */
export function planSubnets(asked: readonly Static<typeof SubnetCreate>[], mtu: number): Subnet[] {
  const planned = asked.map((request, index) => {
    const subnet = planSubnet(request);
    if (isFault(subnet)) throw invalidField(`/body/subnets/${index}${subnet.path}`, subnet.message);
    return subnet;
  });
  const [, later] = firstOverlap(planned) ?? [];
  if (later !== undefined) throw invalidField(`/body/subnets/${later}/cidr`, 'overlaps another subnet of the network');
  const families = planned.map(familyOf);
  const second = families.findIndex((family, index) => families.indexOf(family) < index);
  if (second >= 0)
    throw invalidField(`/body/subnets/${second}`, `is a second ${families[second]} subnet: one is allowed`);
  if (families.includes('ipv6') && mtu < 1280)
    throw invalidField('/body/mtu', 'is too small for IPv6, which needs 1280');
  return planned;
}

/** Addresses in their one form. @throws invalid-request */
export function planVteps(kind: Kind, asked: readonly string[]): string[] {
  if (asked.length > 0 && kind !== 'vxlan') throw invalidField('/body/externalVteps', 'are for VXLAN networks');
  return asked.map((text, index) => {
    const parsed = parseAddress(text);
    if (parsed === undefined) throw invalidField(`/body/externalVteps/${index}`, 'is no address');
    if (parsed.family !== 'ipv4')
      throw invalidField(`/body/externalVteps/${index}`, 'is no IPv4 address, which tunnels need');
    return formatAddress(parsed);
  });
}

/** @throws not-found with the field */
export async function findSwitchAt(db: Executor, nameOrId: string, field: string): Promise<SwitchRow> {
  const row = await switches.find(db, byNameOrId(nameOrId));
  if (!row) throw notFoundAt(field, switches.kind, nameOrId);
  return row;
}

function taken(path: string, kind: string, name: string): KvasirError {
  return new KvasirError('name-taken', { kind, name }, [{ path, message: 'is taken' }]);
}
