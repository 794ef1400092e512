import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { emptySlice, type NetworkSlice, type SliceRule } from '@kvasir/api/agent/network-slice.ts';
import { UnixctlError } from '@kvasir/ovs/unixctl.ts';
import { PendingCuts } from './pending-cuts.ts';
import { Sessions } from './sessions.ts';

const [server, client] = ['10.0.0.1', '10.0.0.2'];
const web: SliceRule = {
  ...{ ruleId: 'web', direction: 'in', family: 'ipv4', protocol: null, icmp: null, remote: null },
  ports: null,
};
const slice = (rules: readonly SliceRule[], change: Partial<NetworkSlice['ports'][number]> = {}): NetworkSlice => ({
  ...emptySlice,
  ports: [
    {
      ...{ nicId: 'nic', vmId: 'vm', networkId: 'net', macAddress: '52:54:00:00:00:01', addresses: [server] },
      ...{ name: null, antiSpoofing: true, filtered: true, securityGroupIds: ['g'], phase: 'active', connected: true },
      ...{ qos: null, guestVlan: null, hardware: false },
      ...change,
    },
  ],
  groups: [{ groupId: 'g', name: 'g', rules: [...rules] }],
});
const tcp = `tcp,orig=(src=${client},dst=${server},sport=4000,dport=80),reply=(),zone=7,mark=2`;
const icmp = `icmp,orig=(src=${client},dst=${server},id=1,type=8,code=0),reply=(),zone=7,mark=2`;
const tuple = `ct_nw_src=${client},ct_nw_dst=${server},ct_nw_proto=6,ct_tp_src=4000,ct_tp_dst=80`;
const cut = { opened: 'in', address: server, port: 80, remote: client } as const;
const cuts = [{ nicId: 'nic', guestVlan: null, cuts: [cut] }];
const zones = { nic: 7 };

/** A switch with these connections; notes what is done to it. */
function bed(connections: readonly string[], pending = new PendingCuts(null)) {
  const done: string[] = [];
  const failing: { error: Error | null } = { error: null };
  const sessions = new Sessions({
    pending,
    ask: async (command, ...args) => {
      if (command === 'dpctl/dump-conntrack') return connections.join('\n');
      if (command === 'dpctl/flush-conntrack' && failing.error !== null) throw failing.error;
      done.push([command.replace(/.*\//, ''), ...args].join(' '));
      return '';
    },
  });
  const end = (now: NetworkSlice) => sessions.end(now, zones, async () => void done.push('refuse'));
  return { sessions, pending, done, failing, end };
}

async function cutsFile(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'kvasir-cuts-'));
  t.after(() => rm(directory, { recursive: true }));
  return join(directory, 'cuts.json');
}

it('a session that is to end is on disk and refused before it is forgotten, and only it is', async (t) => {
  const path = await cutsFile(t);
  const { sessions, pending, done, end } = bed([tcp], new PendingCuts(path));
  sessions.note(slice([web]), slice([]), []);
  await end(slice([]));
  assert.deepEqual(done, ['purge', 'refuse', `flush-conntrack zone=7 ${tuple}`]);
  assert.deepEqual(pending.list, cuts);
  const next = new PendingCuts(path);
  await next.load();
  assert.deepEqual(next.list, cuts);
  assert.deepEqual(next.addedTo(slice([])).ports[0]?.cuts, [cut]);
});

it('nothing is touched when nothing was taken away', async () => {
  const { sessions, done, end } = bed([tcp]);
  sessions.note(slice([]), slice([web]), []);
  sessions.note(null, slice([]), []);
  await end(slice([]));
  assert.deepEqual(done, []);
});

it('what failed is done the next time, also when the rule is in no slice any more', async () => {
  const { sessions, done, failing, end } = bed([tcp]);
  sessions.note(slice([web]), slice([]), [9]);
  failing.error = new Error('the switch is away');
  await assert.rejects(end(slice([])), /away/);
  failing.error = null;
  sessions.note(slice([]), slice([]), []);
  await end(slice([]));
  assert.deepEqual(done, ['flush-conntrack zone=9', 'purge', 'refuse', `flush-conntrack zone=7 ${tuple}`]);
});

it('one that ended by itself is no failure', async () => {
  const { sessions, failing, end } = bed([tcp]);
  sessions.note(slice([web]), slice([]), []);
  failing.error = new UnixctlError('refused', 'failed to flush conntrack (No such file or directory)');
  await end(slice([]));
});

it('one that cannot be named ends with the whole zone', async () => {
  const { sessions, done, end } = bed([icmp]);
  sessions.note(slice([web]), slice([]), []);
  await end(slice([]));
  assert.deepEqual(done, ['purge', 'flush-conntrack zone=7']);
});

const floating = { address: '203.0.113.5', fixedAddress: server, networkId: 'net' };
const routed = (here: boolean, ...floats: readonly (typeof floating)[]): NetworkSlice => ({
  ...emptySlice,
  routers: [
    {
      ...{ routerId: 'router', name: 'edge', macAddress: '52:54:00:00:00:02', interfaces: [] },
      gateway: {
        ...{ here, vtep: '172.31.0.1', externalNetworkId: 'outside', macAddress: '52:54:00:00:00:03' },
        ...{ address: '203.0.113.2', prefixLength: 24, nextHop: null, snat: true, floating: [...floats] },
      },
    },
  ],
});
const through = (orig: string, reply: string): string =>
  `udp,orig=(${orig},sport=4000,dport=53),reply=(${reply},sport=53,dport=4000),zone=8`;
const translated = [
  through('src=198.51.100.9,dst=203.0.113.5', `src=${server},dst=198.51.100.9`),
  through(`src=${server},dst=198.51.100.8`, 'src=198.51.100.8,dst=203.0.113.5'),
  through('src=10.0.0.7,dst=198.51.100.7', 'src=198.51.100.7,dst=203.0.113.2'),
  through('src=10.0.0.7,dst=203.0.113.50', 'src=203.0.113.50,dst=203.0.113.2'),
];
const flushed = (source: string, destination: string): string =>
  `flush-conntrack zone=8 ct_nw_src=${source},ct_nw_dst=${destination},ct_nw_proto=17,ct_tp_src=4000,ct_tp_dst=53`;

it('what went through a floating address ends when it leads elsewhere or is gone, and only that', async () => {
  const elsewhere = { ...floating, fixedAddress: client };
  for (const now of [routed(true), routed(true, elsewhere)]) {
    const { sessions, done } = bed(translated);
    sessions.note(routed(true, floating), now, []);
    await sessions.end(now, { router: 8 }, async () => undefined);
    const ends = [flushed('198.51.100.9', '203.0.113.5'), flushed(server, '198.51.100.8')];
    assert.deepEqual(done, ['purge', ...ends]);
  }
});

it('a gateway that goes elsewhere leaves no connections behind, and one that stays keeps them', async () => {
  const { sessions, done } = bed(translated);
  sessions.note(routed(true, floating), routed(true, floating), []);
  await sessions.end(routed(true, floating), { router: 8 }, async () => undefined);
  assert.deepEqual(done, []);
  sessions.note(routed(true, floating), routed(false, floating), []);
  await sessions.end(routed(false, floating), { router: 8 }, async () => undefined);
  assert.deepEqual(done, ['purge', 'flush-conntrack zone=8']);
});

it('what a slice has is not pending any more; what it lacks is, until the port is gone', async () => {
  const pending = new PendingCuts(null);
  await pending.add(cuts[0]!, [cut]);
  const [without, withCut] = [slice([]), slice([], { cuts: [cut] })];
  await pending.settle(without, without);
  await pending.settle(without, emptySlice);
  assert.deepEqual(pending.list, cuts);
  await pending.settle(without, withCut);
  assert.deepEqual(pending.list, []);
  await pending.add(cuts[0]!, [cut]);
  await pending.settle(emptySlice, emptySlice);
  assert.deepEqual(pending.list, []);
});
