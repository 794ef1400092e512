/** Security groups on a real switch with its connection tracking: what opens a connection, what belongs to one, what is dropped. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compile } from './compile.ts';
import { cookieOf } from './cookies.ts';
import type { Port, Rule, Slice } from './slice.ts';
import { FlowLab } from './testing/flow-lab.ts';
import {
  advertisement,
  broadcastMac,
  ping,
  routerDiscovery,
  solicitation,
  type Station,
  tcp,
  udp,
} from './testing/frames.ts';
import { localSwitch, network, port, rule, slice } from './testing/slices.ts';

const web: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const client: Station = { mac: '52:54:00:00:00:a2', ip: '10.0.0.2' };
const other: Station = { mac: '52:54:00:00:00:a3', ip: '10.0.0.3' };
const six = (station: Station): Station => ({ mac: station.mac, ip: `fd00::${station.mac.slice(-2)}` });

let lab: FlowLab;
before(async () => {
  lab = await FlowLab.start({ web: 11, client: 12, other: 13 });
});
after(() => lab.stop());

/** `web` has the rules; the others are not filtered. */
function withRules(rules: readonly Rule[], given: Partial<Slice> = {}, webPort: Partial<Port> = {}): Slice {
  const of = ({ mac, ip }: Station) => ({ macAddress: mac, addresses: [ip, six({ mac, ip }).ip] });
  return slice({
    networks: [network('blue')],
    ports: [
      port('web', { ...of(web), filtered: true, securityGroupIds: ['g'], ...webPort }),
      port('client', of(client)),
      port('other', of(other)),
    ],
    groups: [{ groupId: 'g', rules }],
    ...given,
  });
}

async function load(given: Slice): Promise<void> {
  await lab.load(compile(given, localSwitch(given, { tunnelPort: null })));
}

/** Whether anything arrived. */
async function reaches(from: string, frame: Buffer): Promise<boolean> {
  return Object.keys(await lab.send(from, frame)).length > 0;
}

const open80 = rule('web-in', { protocol: 6, ports: { from: 80, to: 80 } });

test('a connection that a rule allows works in both directions, and only it', async () => {
  await load(withRules([open80]));
  const syn = tcp(client, web, [4000, 80], { flags: 'S', sequence: 1 });
  assert.equal(await reaches('web', tcp(web, client, [80, 4000], { flags: 'SA' })), false, 'no answer unasked');
  assert.equal(await reaches('client', syn), true);
  assert.equal(await reaches('web', tcp(web, client, [80, 4000], { flags: 'SA', sequence: 9, acknowledged: 2 })), true);
  assert.equal(
    await reaches('client', tcp(client, web, [4000, 80], { flags: 'A', sequence: 2, acknowledged: 10 })),
    true,
  );
  assert.equal(await reaches('client', tcp(client, web, [4000, 81], { flags: 'S' })), false, 'another port');
  assert.equal(await reaches('client', udp(client, web, [4000, 80])), false, 'another protocol');
  assert.equal(await reaches('web', tcp(web, client, [5000, 80], { flags: 'S' })), false, 'the other direction');
});

test('a connection from inside needs a rule out, its answers need none', async () => {
  await load(withRules([rule('dns-out', { direction: 'out', protocol: 17, ports: { from: 53, to: 53 } })]));
  assert.equal(await reaches('client', udp(client, web, [53, 1000])), false);
  assert.equal(await reaches('web', udp(web, client, [1000, 53])), true);
  assert.equal(await reaches('client', udp(client, web, [53, 1000])), true);
  assert.equal(await reaches('web', udp(web, client, [1000, 54])), false);
});

test('drops and allowed connections are counted by port and by rule', async () => {
  await lab.load({ flows: [], meters: [] });
  await load(withRules([open80]));
  await lab.send('client', tcp(client, web, [4000, 80], { flags: 'S' }));
  for (const to of [81, 82]) await lab.send('client', tcp(client, web, [4000, to], { flags: 'S' }));
  await lab.send('web', udp(web, client, [1, 1]));
  const counted = async (cookie: bigint): Promise<string | undefined> => {
    await lab.appctl('revalidator/purge');
    const dump = await lab.ofctl('dump-flows', `cookie=0x${cookie.toString(16)}/-1`);
    return /n_packets=(\d+)/.exec(dump)?.[1];
  };
  assert.equal(await counted(cookieOf('rule', 'web-in')), '1');
  assert.equal(await counted(cookieOf('denied-in', 'web')), '2');
  assert.equal(await counted(cookieOf('denied-out', 'web')), '1');
  await load(withRules([rule('out', { direction: 'out' })]));
  await lab.send('web', udp(web, { mac: broadcastMac, ip: '10.0.0.255' }, [1, 1]));
  assert.equal(await counted(cookieOf('denied-in', 'web')), '2', 'its own broadcast is not held against it');
});

test('a range of ports is exactly this range', async () => {
  await load(withRules([rule('range', { protocol: 17, ports: { from: 1000, to: 1010 } })]));
  for (const [to, passes] of [
    [999, false],
    [1000, true],
    [1007, true],
    [1010, true],
    [1011, false],
  ] as const) {
    assert.equal(await reaches('client', udp(client, web, [4000, to])), passes, `port ${to}`);
  }
});

test('the address of a member is nobody’s in a shared network where another project has it', async () => {
  const rules = [
    rule('peers', { protocol: 17, ports: { from: 80, to: 80 }, remote: { groupId: 'peers' } }),
    rule('peers6', { family: 'ipv6', protocol: 17, remote: { groupId: 'peers' } }),
    rule('to-peers', { direction: 'out', protocol: 17, ports: { from: 80, to: 80 }, remote: { groupId: 'peers' } }),
    rule('anybody', { protocol: 17, ports: { from: 90, to: 90 } }),
  ];
  const withOwners = (ofOther: string | undefined): Slice => {
    const given = withRules(rules, {
      addressSets: [{ groupId: 'peers', addresses: [client.ip, other.ip, 'fd00:0::a3'] }],
    });
    const owners: Record<string, string | undefined> = { web: 'ours', client: 'ours', other: ofOther };
    return { ...given, ports: given.ports.map((port) => ({ ...port, projectId: owners[port.nicId] })) };
  };
  for (const [ofOther, isMember] of [
    ['theirs', false],
    ['ours', true],
    [undefined, true],
  ] as const) {
    await load(withOwners(ofOther));
    assert.equal(await reaches('client', udp(client, web, [1, 80])), true);
    assert.equal(await reaches('other', udp(other, web, [1, 80])), isMember, `into the port, ${ofOther}`);
    assert.equal(await reaches('other', udp(six(other), six(web), [1, 80])), isMember, `by IPv6, ${ofOther}`);
    assert.equal(await reaches('web', udp(web, other, [2, 80])), isMember, `out of it, ${ofOther}`);
    assert.equal(await reaches('other', udp(other, web, [3, 90])), true, 'what anybody may');
  }
  for (const ofOther of ['theirs', 'ours']) {
    const given = withOwners(ofOther);
    const remotePorts = given.ports.slice(2).map((port) => ({ ...port, vteps: [] }));
    await load({ ...given, ports: given.ports.slice(0, 2), networks: [network('blue', { remotePorts })] });
    const forged = udp({ mac: client.mac, ip: other.ip }, web, [1, 80]);
    assert.equal(await reaches('client', forged), ofOther === 'ours', `a port elsewhere, ${ofOther}`);
  }
});

test('a group as the other end: each of its addresses with each of its services, and nothing crosswise', async () => {
  const rules = [
    rule('clients', { protocol: 17, ports: { from: 80, to: 81 }, remote: { groupId: 'clients' } }),
    rule('others', { protocol: 17, ports: { from: 90, to: 90 }, remote: { groupId: 'others' } }),
    rule('everyone', { protocol: 17, ports: { from: 99, to: 99 } }),
  ];
  const addressSets = [
    { groupId: 'clients', addresses: [client.ip, '10.0.0.50'] },
    { groupId: 'others', addresses: [other.ip] },
  ];
  await load(withRules(rules, { addressSets }));
  for (const [name, from, allowed] of [
    ['client', client, [80, 81, 99]],
    ['other', other, [90, 99]],
  ] as const) {
    for (const to of [79, 80, 81, 82, 90, 99]) {
      const expected = (allowed as readonly number[]).includes(to);
      assert.equal(await reaches(name, udp(from, web, [4000, to])), expected, `${name} to ${to}`);
    }
  }
});

test('a CIDR as the other end', async () => {
  await load(
    withRules([
      rule('half', { remote: { cidr: '10.0.0.2/31' } }),
      rule('none', { family: 'ipv6', remote: { cidr: '0.0.0.0/0' } }),
    ]),
  );
  assert.equal(await reaches('client', udp(client, web, [1, 1])), true);
  assert.equal(await reaches('other', udp(other, web, [1, 1])), true);
  assert.equal(await reaches('other', udp({ ...other, ip: '10.0.0.4' }, web, [1, 1])), false);
  assert.equal(await reaches('client', ping(six(client), six(web), 128)), false);
});

test('ICMP by type, over IPv4 and IPv6', async () => {
  await load(withRules([rule('ping', { protocol: 1, icmp: { type: 8, code: 0 } })]));
  assert.equal(await reaches('client', ping(client, web)), true);
  assert.equal(await reaches('web', ping(web, client, 0)), true);
  assert.equal(await reaches('web', ping(web, client)), false);
  assert.equal(await reaches('client', ping(six(client), six(web), 128)), false);
  await load(withRules([rule('ping6', { family: 'ipv6', protocol: 58, icmp: { type: 128, code: null } })]));
  assert.equal(await reaches('client', ping(six(client), six(web), 128)), true);
  assert.equal(await reaches('web', ping(six(web), six(client), 129)), true);
  assert.equal(await reaches('client', ping(client, web)), false);
});

test('without a rule only neighbour discovery passes', async () => {
  await load(withRules([]));
  assert.equal(await reaches('web', udp(web, client, [1, 1])), false);
  assert.equal(await reaches('client', udp(client, web, [67, 68])), false, 'a guest is no DHCP server');
  assert.equal(await reaches('web', routerDiscovery(six(web), 133)), true);
  assert.equal(await reaches('web', solicitation(six(web), 'fd00::77')), true);
  assert.deepEqual(Object.keys(await lab.send('client', advertisement(six(client), six(client).ip, client.mac))), [
    'web',
    'other',
  ]);
});

test('a rule that contradicts itself allows nothing', async () => {
  const rules = [
    rule('ports-without-protocol', { ports: { from: 1, to: 9 } }),
    rule('icmp-of-the-other-family', { protocol: 58, icmp: { type: 8, code: null } }),
    rule('group-without-members', { remote: { groupId: 'nobody' } }),
  ];
  await load(withRules(rules));
  assert.equal(await reaches('client', udp(client, web, [1, 1])), false);
  assert.equal(await reaches('client', ping(client, web)), false);
});

test('rules of several groups add up; what is not filtered passes; groups that are missing allow nothing', async () => {
  const groups = [
    { groupId: 'g', rules: [open80] },
    { groupId: 'h', rules: [rule('h-in', { protocol: 17 })] },
  ];
  await load(withRules([], { groups }, { securityGroupIds: ['h', 'g'] }));
  assert.equal(await reaches('client', udp(client, web, [1, 1])), true);
  assert.equal(await reaches('client', tcp(client, web, [1, 80], { flags: 'S' })), true);
  await load(withRules([], { groups: [] }));
  assert.equal(await reaches('client', udp(client, web, [1, 1])), false);
  await load(withRules([], {}, { filtered: false }));
  assert.equal(await reaches('client', udp(client, web, [1, 1])), true);
});

test('two filtered ports on one host are each asked', async () => {
  const ports = (clientGroup: string): Slice => {
    const given = withRules([open80]);
    const groups = [...given.groups, { groupId: 'out', rules: [rule('out', { direction: 'out' })] }];
    const filtered = { filtered: true, securityGroupIds: [clientGroup] };
    return {
      ...given,
      groups,
      ports: given.ports.map((each) => (each.nicId === 'client' ? { ...each, ...filtered } : each)),
    };
  };
  const syn = tcp(client, web, [4000, 80], { flags: 'S', sequence: 1 });
  await load(ports('g'));
  assert.equal(await reaches('client', syn), false);
  await load(ports('out'));
  assert.equal(await reaches('client', syn), true);
  assert.equal(await reaches('web', tcp(web, client, [80, 4000], { flags: 'SA', sequence: 9, acknowledged: 2 })), true);
});
