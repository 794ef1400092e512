/** Rows of the distributed switch around one VM: a switch with an uplink, routed networks, groups, policies. */
import type { Tx } from '../../store/database.ts';
import { networkAddresses, networks, plainNetwork, subPorts } from '../../store/networks.ts';
import { mirrors, qosPolicies } from '../../store/port-policies.ts';
import { floatingAddresses, routerInterfaces, routers } from '../../store/routers.ts';
import { securityGroupRules, securityGroups } from '../../store/security-groups.ts';
import { switches, uplinks } from '../../store/switches.ts';
import { fresh } from './api-world.ts';

const described = { description: '', labels: {} };

export interface SwitchRowsAround {
  readonly projectId: string;
  readonly clusterId: string;
  readonly hostId: string;
  readonly portId: string;
  readonly portNetworkId: string;
}

/** `n` makes names and segments differ. */
export async function insertSwitchRows(tx: Tx, n: number, around: SwitchRowsAround) {
  const { projectId, clusterId, hostId, portId } = around;
  const spans = { clusterId, hostIds: [], defaultBond: 'active-backup' as const, mtu: 1500 };
  const on = await switches.insert(tx, { ...fresh(), ...described, ...spans, name: `switch${n}` });
  const bare = await switches.insert(tx, { ...fresh(), ...described, ...spans, name: `bare-switch${n}` });
  const link = { switchId: on.id, hostId, nics: [`e${n}`], bond: null, lacpFast: false };
  const uplink = await uplinks.insert(tx, { ...fresh(), ...link, name: `uplink${n}` });
  const network = (name: string, facts: object) =>
    networks.insert(tx, {
      ...fresh(),
      ...described,
      ...plainNetwork,
      name: `${name}${n}`,
      projectId,
      shared: false,
      mtu: 1450,
      ...facts,
    });
  const subnet = (base: string) => ({
    cidr: `${base}.0/24`,
    gateway: `${base}.1`,
    dhcp: true,
    dnsServers: [],
    allocationFrom: `${base}.1`,
    allocationTo: `${base}.254`,
    leaseSeconds: 3600,
  });
  const segment = 1_000_000 + 10 * n;
  const inner = await network('inner', { kind: 'vxlan', segment, subnets: [subnet('10.1.0')] });
  const loose = await network('loose', { kind: 'vxlan', segment: segment + 1, subnets: [subnet('10.2.0')] });
  const external = await network('external', { external: true, subnets: [subnet('203.0.113')] });
  const { group, rule } = await insertGroup(tx, projectId, `group${n}`);
  const limits = { shared: false, fromVm: null, toVm: null, dscp: 10 };
  const qosPolicy = await qosPolicies.insert(tx, { ...fresh(), ...described, ...limits, name: `qos${n}`, projectId });
  const mirror = await mirrors.insert(tx, {
    ...fresh(),
    ...described,
    name: `mirror${n}`,
    sourceNetworkId: null,
    sourcePortIds: [portId],
    direction: 'both',
    targetPortId: null,
    targetKind: 'gre',
    targetAddress: '192.0.2.9',
    targetKey: 1,
  });
  const macs = { macAddress: '52:54:00:00:00:01', externalMacAddress: '52:54:00:00:00:02' };
  const way = { externalNetworkId: null, externalAddress: null, snat: true, gatewayHostId: null, gatewayEnding: false };
  const router = await routers.insert(tx, { ...fresh(), ...described, ...macs, ...way, name: `router${n}`, projectId });
  const leg = { networkId: inner.id, family: 'ipv4' as const, address: '10.1.0.1', prefixLength: 24 };
  await routerInterfaces.insert(tx, { routerId: router.id, ...leg });
  const nobody = { portId: null, subPortId: null, routerId: null, floatingAddressId: null };
  await networkAddresses.insert(tx, { networkId: inner.id, address: '10.1.0.1', ...nobody, routerId: router.id });
  await networkAddresses.insert(tx, { networkId: around.portNetworkId, address: '10.9.0.5', ...nobody, portId });
  const nowhere = { networkId: external.id, portId: null, fixedAddress: null };
  const floatingAddress = await floatingAddresses.insert(tx, {
    ...fresh(),
    ...described,
    ...nowhere,
    name: '203.0.113.9',
    projectId,
  });
  const trunk = { portId, networkId: inner.id, vlanId: 10, macAddress: '52:54:00:00:00:03' };
  const subPort = await subPorts.insert(tx, { ...fresh(), ...trunk });
  return { on, bare, uplink, inner, loose, external, group, rule, qosPolicy, mirror, router, floatingAddress, subPort };
}

async function insertGroup(tx: Tx, projectId: string, name: string) {
  const group = await securityGroups.insert(tx, { ...fresh(), ...described, name, projectId });
  const rule = await securityGroupRules.insert(tx, {
    id: fresh().id,
    createdAt: Date.now(),
    description: '',
    groupId: group.id,
    direction: 'out',
    family: 'ipv4',
    protocol: null,
    portFrom: null,
    portTo: null,
    icmpType: null,
    icmpCode: null,
    remoteCidr: null,
    remoteGroupId: null,
  });
  return { group, rule };
}
