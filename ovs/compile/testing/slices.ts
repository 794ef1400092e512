/** Slices for tests: everything has a default, a scenario names what it is about. */
import type { LocalSwitch } from '../local.ts';
import { allocateNumbers, noNumbers } from '../numbers.ts';
import type { Gateway, Network, Port, Router, Rule, Slice } from '../slice.ts';

export function network(networkId: string, given: Partial<Network> = {}): Network {
  const none = { subnets: [], remotePorts: [], memberVteps: [], externalVteps: [] };
  return { networkId, kind: 'vxlan', segment: 5001, switchId: null, ...none, ...given };
}

export function port(nicId: string, given: Partial<Port> = {}): Port {
  return {
    nicId,
    networkId: 'blue',
    macAddress: '52:54:00:00:00:01',
    addresses: ['10.0.0.1'],
    antiSpoofing: false,
    filtered: false,
    securityGroupIds: [],
    phase: 'active',
    connected: true,
    qos: null,
    guestVlan: null,
    hardware: false,
    ...given,
  };
}

export function rule(ruleId: string, given: Partial<Rule> = {}): Rule {
  return { ruleId, direction: 'in', family: 'ipv4', protocol: null, ports: null, icmp: null, remote: null, ...given };
}

export function router(given: Partial<Router> = {}): Router {
  return { routerId: 'router', macAddress: '52:54:00:ff:00:01', interfaces: [], gateway: null, ...given };
}

export function gateway(given: Partial<Gateway> = {}): Gateway {
  return {
    here: true,
    vtep: '172.31.0.9',
    externalNetworkId: 'outside',
    macAddress: '52:54:00:ee:00:01',
    address: '203.0.113.2',
    prefixLength: 24,
    nextHop: '203.0.113.1',
    snat: true,
    floating: [],
    ...given,
  };
}

export function slice(given: Partial<Slice>): Slice {
  return { uplinks: [], networks: [], ports: [], groups: [], addressSets: [], routers: [], ...given };
}

/** Tunnel port 1, services on port 2; NICs from port 11 in the order of the slice. */
export function localSwitch(of: Slice, given: Partial<LocalSwitch> = {}): LocalSwitch {
  const nics = [...new Set(of.ports.map(({ nicId }) => nicId))];
  return {
    numbers: allocateNumbers(noNumbers, of),
    nicPorts: Object.fromEntries(nics.map((nicId, index) => [nicId, 11 + index])),
    uplinkPorts: {},
    defaultUplinkPort: null,
    tunnelPort: 1,
    tunnelAddress: null,
    services: null,
    bridgeMac: '52:54:00:bb:00:01',
    neighbours: {},
    ...given,
  };
}
