import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  emptySlice,
  type NetworkSlice,
  type SliceCut,
  type SlicePort,
  type SliceRule,
} from '@kvasir/api/agent/network-slice.ts';
import { type Connection, parseConnections, tupleOf } from './connections.ts';
import { endedSessions } from './cut-sessions.ts';
import { Permissions } from './permissions.ts';

const server = '10.0.0.1';
const [client, friend] = ['10.0.0.2', '10.0.0.3'];
const rule = (change: Partial<SliceRule> = {}): SliceRule => ({
  ...{ ruleId: JSON.stringify(change), direction: 'in', family: 'ipv4', protocol: 6, icmp: null, remote: null },
  ports: { from: 80, to: 80 },
  ...change,
});
const out = rule({ direction: 'out', protocol: null, ports: null });
const web = rule();
const webOfFriend = rule({ remote: { cidr: `${friend}/32` } });
const tcp = (change: Partial<Connection> = {}): Connection => ({
  ...{ protocol: 6, source: client, destination: server, sourcePort: 4000, destinationPort: 80, icmp: null },
  ...{ opened: 'in', midway: false },
  ...change,
});
/** The same connection as it is written down when the server's packet was met first. */
const turnedRound = tcp({
  ...{ source: server, destination: client, sourcePort: 80, destinationPort: 4000 },
  ...{ opened: 'out', midway: true },
});
const cut: SliceCut = { opened: 'in', address: server, port: 80, remote: client };

function world(rules: readonly SliceRule[], change: Partial<SlicePort> = {}, members: readonly string[] = []) {
  const port: SlicePort = {
    ...{ nicId: 'nic', vmId: 'vm', networkId: 'net', macAddress: '52:54:00:00:00:01', addresses: [server] },
    ...{ name: null, antiSpoofing: true, filtered: true, securityGroupIds: ['g'], phase: 'active', connected: true },
    ...{ qos: null, guestVlan: null, hardware: false },
    ...change,
  };
  const slice: NetworkSlice = {
    ...emptySlice,
    ports: [port],
    groups: [{ groupId: 'g', name: 'g', rules: [...rules] }],
    addressSets: [{ groupId: 'peers', addresses: [...members] }],
  };
  return { slice, port };
}

it('what no rule allows any more ends and is remembered, what one still allows goes on', () => {
  const ofFriend = tcp({ source: friend });
  const ownOne = tcp({ source: server, destination: client, sourcePort: 5000, destinationPort: 443, opened: 'out' });
  const ended = endedSessions([tcp(), ofFriend, ownOne], world([web, out]), world([webOfFriend, out]));
  assert.deepEqual(ended, { connections: [tcp()], cuts: [cut] });
});

it('a session that was picked up the wrong way round ends with the rule that it stood on', () => {
  assert.deepEqual(endedSessions([turnedRound], world([web, out]), world([out])), {
    connections: [turnedRound],
    cuts: [cut],
  });
  assert.deepEqual(endedSessions([turnedRound], world([web, out]), world([web, out])).connections, []);
  assert.deepEqual(endedSessions([turnedRound], world([out, rule({ ports: { from: 1, to: 1 } })]), world([out])), {
    connections: [],
    cuts: [],
  });
});

it('one that may have been opened either way ends with either rule', () => {
  assert.deepEqual(endedSessions([tcp({ midway: true })], world([web, out]), world([out])).cuts, [cut]);
  assert.deepEqual(endedSessions([turnedRound], world([web, out]), world([web])).cuts, [
    { opened: 'out', address: server, port: 4000, remote: client },
  ]);
});

it('one that only ever was allowed the other way round is written down anew, and not refused', () => {
  assert.deepEqual(endedSessions([turnedRound], world([web]), world([web])), { connections: [turnedRound], cuts: [] });
});

it('one that was picked up here before it was known that it had been cut elsewhere ends', () => {
  const [before, now] = [world([out]), world([out], { cuts: [cut] })];
  assert.deepEqual(endedSessions([turnedRound], before, now), { connections: [turnedRound], cuts: [cut] });
  const certain = { ...turnedRound, midway: false };
  assert.deepEqual(endedSessions([certain], before, now).connections, []);
});

it('a port that is unplugged, or loses the address, ends what it has', () => {
  for (const change of [{ connected: false }, { addresses: [friend] }, { networkId: 'other' }]) {
    assert.deepEqual(endedSessions([tcp()], world([web]), world([web], change)).connections, [tcp()]);
  }
  assert.deepEqual(endedSessions([tcp()], world([web]), world([], { filtered: false })).connections, []);
});

it('of an entry without a note whose address it is says who opened it', () => {
  const unknown = tcp({ opened: null });
  assert.deepEqual(endedSessions([unknown], world([web, out]), world([out])).cuts, [cut]);
  assert.deepEqual(endedSessions([unknown], world([web]), world([web, out])).connections, []);
});

it('rules are held against a connection as the flows do it', () => {
  const { port } = world([]);
  const allowed = (change: Partial<SliceRule>, connection = tcp(), members: string[] = []): boolean =>
    new Permissions(world([rule(change)], {}, members).slice).allow(port, connection);
  assert.equal(allowed({}), true);
  assert.equal(allowed({ ports: { from: 81, to: 90 } }), false);
  assert.equal(allowed({ ports: { from: 79, to: 81 } }), true);
  assert.equal(allowed({ direction: 'out' }), false);
  assert.equal(allowed({ protocol: 17 }), false);
  assert.equal(allowed({ protocol: null }), false, 'ports of no protocol');
  assert.equal(allowed({ protocol: null, ports: null }), true);
  assert.equal(allowed({ family: 'ipv6' }), false);
  assert.equal(allowed({ remote: { cidr: '10.0.0.0/30' } }), true);
  assert.equal(allowed({ remote: { cidr: '10.0.0.4/30' } }), false);
  assert.equal(allowed({ remote: { cidr: '::/0' } }), false);
  assert.equal(allowed({ remote: { groupId: 'peers' } }), false);
  assert.equal(allowed({ remote: { groupId: 'peers' } }, tcp(), [client]), true);
  const ping = tcp({ protocol: 1, sourcePort: 0, destinationPort: 0, icmp: { type: 8, code: 0 } });
  assert.equal(allowed({ protocol: 1, ports: null, icmp: { type: 8, code: null } }, ping), true);
  assert.equal(allowed({ protocol: 1, ports: null, icmp: { type: 8, code: 1 } }, ping), false);
  assert.equal(allowed({ protocol: 58, ports: null, icmp: { type: 8, code: null } }, ping), false);
  const six = tcp({ source: 'fd00::2', destination: 'fd00::1' });
  assert.equal(allowed({ family: 'ipv6', remote: { groupId: 'peers' } }, six, ['fd00:0:0:0:0:0:0:2']), true);
});

it('in a shared network the address of a member is nobody’s that another project has there', () => {
  const allowed = (owner: string): boolean => {
    const given = world([rule({ remote: { groupId: 'peers' } })], { projectId: 'ours' }, [client]);
    const stranger: SlicePort = { ...given.port, nicId: 'other', addresses: [client], projectId: owner };
    return new Permissions({ ...given.slice, ports: [given.port, stranger] }).allow(given.port, tcp());
  };
  assert.deepEqual([allowed('theirs'), allowed('ours')], [false, true]);
});

it('the list of connections is read as the switch writes it', () => {
  const dump = [
    'tcp,orig=(src=10.0.0.2,dst=10.0.0.1,sport=4000,dport=80),reply=(src=10.0.0.1,dst=10.0.0.2,sport=80,dport=4000),zone=2,mark=6,protoinfo=(state=SYN_SENT)',
    'icmpv6,orig=(src=fd00::a1,dst=fd00::a2,id=77,type=128,code=0),reply=(src=fd00::a2,dst=fd00::a1,id=77,type=129,code=0),zone=2,mark=1',
    '47,orig=(src=10.0.0.1,dst=10.0.0.2,sport=0,dport=0),reply=(src=10.0.0.2,dst=10.0.0.1,sport=0,dport=0),zone=2',
    '',
  ].join('\n');
  const [first, second, third] = parseConnections(dump);
  assert.deepEqual(first, tcp({ midway: true }));
  assert.deepEqual([second?.protocol, second?.icmp, second?.opened], [58, { type: 128, code: 0 }, 'out']);
  assert.deepEqual([third?.protocol, third?.opened, parseConnections(dump).length], [47, null, 3]);
  assert.equal(tupleOf(first), 'ct_nw_src=10.0.0.2,ct_nw_dst=10.0.0.1,ct_nw_proto=6,ct_tp_src=4000,ct_tp_dst=80');
  assert.equal(tupleOf(second!), null);
});
