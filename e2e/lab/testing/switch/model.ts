/**
 * A cloud's networks in small, for tests of the switch alone: who is where, and what each host is told of it. Owns the slices; the
 * manager computes its own from the database.
 */
import { createHash } from 'node:crypto';
import {
  emptySlice,
  type NetworkSlice,
  type SliceGroup,
  type SliceMirror,
  type SliceNetwork,
  type SlicePort,
  type SliceRouter,
  type SliceRule,
} from '@kvasir/api/agent/network-slice.ts';

export interface ModelNetwork extends Pick<SliceNetwork, 'kind' | 'segment'> {
  readonly name: string;
  readonly subnets?: SliceNetwork['subnets'];
  readonly domain?: string;
  readonly externalVteps?: readonly string[];
  readonly mtu?: number;
}

export interface ModelGuest {
  readonly name: string;
  readonly network: string;
  readonly host: string;
  readonly macAddress: string;
  readonly addresses: readonly string[];
  /** Absent: not filtered. */
  readonly groups?: readonly string[];
  readonly antiSpoofing?: boolean;
  readonly qos?: SlicePort['qos'];
}

export type ModelRule = Pick<SliceRule, 'direction'> & Partial<Omit<SliceRule, 'ruleId' | 'direction'>>;

export interface Model {
  /** Name -> tunnel address. */
  readonly hosts: Readonly<Record<string, string>>;
  readonly networks: readonly ModelNetwork[];
  readonly guests: readonly ModelGuest[];
  readonly groups?: Readonly<Record<string, readonly ModelRule[]>>;
  /** `here` is set for the host in question. */
  readonly routers?: readonly (SliceRouter & { readonly gatewayHost?: string })[];
  readonly mirrors?: readonly SliceMirror[];
}

/** A UUID that follows from a name. */
export function idOf(name: string): string {
  const digits = createHash('sha256').update(name).digest('hex');
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
}

export function sliceFor(model: Model, host: string): NetworkSlice {
  const here = model.guests.filter((guest) => guest.host === host);
  const routed = new Set(
    (model.routers ?? [])
      .filter(({ interfaces }) =>
        interfaces.some(({ networkId }) => here.some((guest) => idOf(guest.network) === networkId)),
      )
      .flatMap(({ interfaces }) => interfaces.map(({ networkId }) => networkId)),
  );
  const gateways = (model.routers ?? []).filter((router) => router.gatewayHost === host);
  for (const { interfaces } of gateways) for (const { networkId } of interfaces) routed.add(networkId);
  const external = new Set((model.routers ?? []).flatMap(({ gateway }) => gateway?.externalNetworkId ?? []));
  const served = model.networks.filter(
    ({ name }) => here.some((guest) => guest.network === name) || routed.has(idOf(name)) || external.has(idOf(name)),
  );
  const groupNames = Object.keys(model.groups ?? {});
  return {
    ...emptySlice,
    networks: served.map((network) => networkFor(model, network, host)),
    ports: here.map((guest) => portOf(guest)),
    groups: groupNames.map((name) => groupOf(name, model.groups?.[name] ?? [])),
    addressSets: groupNames.map((name) => ({
      groupId: idOf(name),
      addresses: model.guests.filter(({ groups }) => groups?.includes(name)).flatMap(({ addresses }) => addresses),
    })),
    routers: (model.routers ?? []).map(({ gatewayHost, ...router }) => ({
      ...router,
      gateway:
        router.gateway === null
          ? null
          : { ...router.gateway, here: gatewayHost === host, vtep: model.hosts[gatewayHost ?? ''] ?? '' },
    })),
    mirrors: [...(model.mirrors ?? [])],
  };
}

function networkFor(model: Model, network: ModelNetwork, host: string): SliceNetwork {
  const elsewhere = model.guests.filter((guest) => guest.network === network.name && guest.host !== host);
  const isVxlan = network.kind === 'vxlan';
  return {
    networkId: idOf(network.name),
    name: network.name,
    kind: network.kind,
    segment: network.segment,
    switchId: null,
    mtu: network.mtu ?? 1450,
    domain: network.domain ?? null,
    subnets: network.subnets ?? [],
    remotePorts: elsewhere.map((guest) => ({
      macAddress: guest.macAddress,
      addresses: [...guest.addresses],
      name: guest.name,
      vteps: isVxlan ? [model.hosts[guest.host]!] : [],
    })),
    memberVteps: isVxlan ? [...new Set(elsewhere.map((guest) => model.hosts[guest.host]!))] : [],
    externalVteps: [...(network.externalVteps ?? [])],
  };
}

function portOf(guest: ModelGuest): SlicePort {
  return {
    nicId: idOf(`nic ${guest.name}`),
    vmId: idOf(`vm ${guest.name}`),
    networkId: idOf(guest.network),
    macAddress: guest.macAddress,
    addresses: [...guest.addresses],
    name: guest.name,
    antiSpoofing: guest.antiSpoofing ?? true,
    filtered: guest.groups !== undefined,
    securityGroupIds: (guest.groups ?? []).map(idOf),
    phase: 'active',
    connected: true,
    qos: guest.qos ?? null,
    guestVlan: null,
    hardware: false,
  };
}

function groupOf(name: string, rules: readonly ModelRule[]): SliceGroup {
  const defaults = { family: 'ipv4', protocol: null, ports: null, icmp: null, remote: null } as const;
  return {
    groupId: idOf(name),
    name,
    rules: rules.map((rule) => ({ ...defaults, ...rule, ruleId: idOf(`${name} ${JSON.stringify(rule)}`) })),
  };
}
