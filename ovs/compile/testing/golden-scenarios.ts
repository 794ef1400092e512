/** One small slice for each feature; the flows that it adds to the bare pipeline are kept as text in `golden/`. */
import type { LocalSwitch } from '../local.ts';
import type { Slice } from '../slice.ts';
import { gateway, localSwitch, network, port, router, rule, slice } from './slices.ts';

export interface Scenario {
  readonly name: string;
  readonly says: string;
  readonly slice: Slice;
  readonly local: LocalSwitch;
}

function scenario(name: string, says: string, given: Partial<Slice>, local: Partial<LocalSwitch> = {}): Scenario {
  const whole = slice(given);
  return { name, says, slice: whole, local: localSwitch(whole, local) };
}

const remote = { macAddress: '52:54:00:00:00:02', addresses: ['10.0.0.2'], vteps: ['172.31.0.2'] };
const filtered = { filtered: true, securityGroupIds: ['web'] };

export const scenarios: readonly Scenario[] = [
  scenario('pipeline', 'Nothing is served: what every bridge holds.', {}),
  scenario(
    'vxlan',
    'A port here, one on another host, one behind a foreign VTEP. Frames for 10.0.0.2 go to its host, unknown ones to the foreign VTEP.',
    {
      networks: [
        network('blue', { remotePorts: [remote], memberVteps: ['172.31.0.2'], externalVteps: ['172.31.0.77'] }),
      ],
      ports: [port('a')],
    },
  ),
  scenario(
    'underlay',
    'A flat network on the wire that carries the tunnels of this host, 172.31.0.1, and of 172.31.0.2. The foreign VTEP 172.31.0.77 belongs to `blue` only.',
    {
      networks: [
        network('blue', { memberVteps: ['172.31.0.2'], externalVteps: ['172.31.0.77'] }),
        network('floor', { kind: 'flat', segment: 0 }),
        network('red', { segment: 5002 }),
      ],
    },
    { defaultUplinkPort: 3, tunnelAddress: '172.31.0.1' },
  ),
  scenario(
    'vlan',
    'VLAN 100 on the uplink at port 3; frames for unknown MACs leave by it.',
    {
      networks: [network('office', { kind: 'vlan', segment: 100, switchId: 'lan' })],
      ports: [port('a', { networkId: 'office' })],
    },
    { uplinkPorts: { lan: 3 } },
  ),
  scenario('anti-spoofing', 'The guest has an address of each family and may use no other.', {
    networks: [network('blue')],
    ports: [port('a', { addresses: ['10.0.0.1', 'fd00::1'], antiSpoofing: true })],
  }),
  scenario(
    'cut-sessions',
    'A rule that let 10.0.0.2 in to port 80 was taken away, and so was one that let the port out to anybody at 443: neither session comes back.',
    {
      networks: [network('blue')],
      ports: [
        port('a', {
          ...filtered,
          cuts: [
            { opened: 'in', address: '10.0.0.1', port: 80, remote: '10.0.0.2' },
            { opened: 'out', address: '10.0.0.1', port: 443, remote: null },
          ],
        }),
      ],
      groups: [{ groupId: 'web', rules: [rule('out', { direction: 'out' })] }],
    },
  ),
  scenario(
    'access-rules',
    'A web server: anybody may ping, the group `clients` may use ports 80 to 83 and 443, outwards everything. The two rules with the group share its addresses.',
    {
      networks: [network('blue')],
      ports: [port('a', filtered)],
      groups: [
        {
          groupId: 'web',
          rules: [
            rule('http', { protocol: 6, ports: { from: 80, to: 83 }, remote: { groupId: 'clients' } }),
            rule('https', { protocol: 6, ports: { from: 443, to: 443 }, remote: { groupId: 'clients' } }),
            rule('ping', { protocol: 1, icmp: { type: 8, code: 0 } }),
            rule('out', { direction: 'out' }),
          ],
        },
      ],
      addressSets: [{ groupId: 'clients', addresses: ['10.0.0.8', '10.0.0.9'] }],
    },
  ),
  scenario(
    'questions-and-services',
    'DHCP and router solicitations go to the agent, metadata and DNS to the services behind port 2.',
    {
      networks: [
        network('blue', {
          subnets: [
            { cidr: '10.0.0.0/24', gateway: null, dhcp: true },
            { cidr: 'fd00::/64', gateway: null, dhcp: true },
          ],
        }),
      ],
      ports: [port('a')],
    },
    { services: { port: 2, macAddress: '52:54:00:00:00:5e' } },
  ),
  scenario('trunk', 'One NIC: untagged it is on `blue`, with tag 7 on `green`.', {
    networks: [network('blue'), network('green', { segment: 5002 })],
    ports: [
      port('a'),
      port('a', { networkId: 'green', macAddress: '52:54:00:00:00:02', addresses: ['10.1.0.1'], guestVlan: 7 }),
    ],
  }),
  scenario('qos', 'What the guest sends is limited to 10 Mbit/s and marked with DSCP 46.', {
    networks: [network('blue')],
    ports: [port('a', { qos: { fromVm: { rateKbps: 10_000, burstKb: 5000 }, toVm: null, dscp: 46 } })],
  }),
  scenario('moving', 'The VM with 10.0.0.2 is moving here: whoever is here already feeds both hosts.', {
    networks: [network('blue', { remotePorts: [remote], memberVteps: ['172.31.0.2'] })],
    ports: [port('a'), port('b', { macAddress: remote.macAddress, addresses: remote.addresses, phase: 'incoming' })],
  }),
  scenario('router', 'Two networks of a tenant; the way out leads to the gateway host 172.31.0.9.', {
    networks: [network('blue', { remotePorts: [remote] }), network('green', { segment: 5002 })],
    ports: [port('b', { networkId: 'green', macAddress: '52:54:00:00:00:03', addresses: ['10.1.0.3'] })],
    routers: [
      router({
        interfaces: [
          { networkId: 'blue', address: '10.0.0.254', prefixLength: 24 },
          { networkId: 'green', address: '10.1.0.254', prefixLength: 24 },
        ],
        gateway: gateway({ here: false }),
      }),
    ],
  }),
  scenario(
    'gateway',
    'The gateway host: out with the address 203.0.113.2, 10.0.0.2 with 203.0.113.50; the next hop 203.0.113.1 is resolved.',
    {
      networks: [
        network('blue', { remotePorts: [remote] }),
        network('outside', { kind: 'flat', segment: 0, switchId: 'wan' }),
      ],
      routers: [
        router({
          interfaces: [{ networkId: 'blue', address: '10.0.0.254', prefixLength: 24 }],
          gateway: gateway({
            floating: [{ address: '203.0.113.50', fixedAddress: '10.0.0.2', networkId: 'blue' }],
          }),
        }),
      ],
    },
    { uplinkPorts: { wan: 3 }, neighbours: { outside: { '203.0.113.1': '52:54:00:cc:00:01' } } },
  ),
];
