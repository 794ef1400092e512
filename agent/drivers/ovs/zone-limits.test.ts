/** Limits of connections on a real switch: who is at its limit, and who does not notice. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { compile } from '@kvasir/ovs/compile/compile.ts';
import type { Numbers } from '@kvasir/ovs/compile/numbers.ts';
import { FlowLab } from '@kvasir/ovs/compile/testing/flow-lab.ts';
import { type Station, tcp } from '@kvasir/ovs/compile/testing/frames.ts';
import { localSwitch, network, port, router, rule, slice } from '@kvasir/ovs/compile/testing/slices.ts';
import { UnixctlError } from '@kvasir/ovs/unixctl.ts';
import { ZoneLimits } from './zone-limits.ts';

const greedy: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const modest: Station = { mac: '52:54:00:00:00:a2', ip: '10.0.0.2' };
const server: Station = { mac: '52:54:00:00:00:a3', ip: '10.0.0.3' };
const perPort = 20;
/** Of all zones together. */
const tableSize = 30;

let lab: FlowLab;
before(async () => {
  lab = await FlowLab.start({ greedy: 11, modest: 12, server: 13 });
  await lab.appctl('dpctl/ct-set-maxconns', String(tableSize));
});
after(() => lab.stop());

const of = ({ mac, ip }: Station) => ({ macAddress: mac, addresses: [ip] });
const grouped = { filtered: true, securityGroupIds: ['g'] };
const given = slice({
  networks: [network('blue')],
  ports: [
    port('greedy', { ...of(greedy), ...grouped }),
    port('modest', { ...of(modest), ...grouped }),
    port('server', of(server)),
  ],
  groups: [{ groupId: 'g', rules: [rule('out', { direction: 'out' })] }],
  routers: [router()],
});
const local = localSwitch(given, { tunnelPort: null });

/** Whether the answer of the server comes back. */
async function connects(from: 'greedy' | 'modest', sourcePort: number): Promise<boolean> {
  const guest = from === 'greedy' ? greedy : modest;
  await lab.send(from, tcp(guest, server, [sourcePort, 80], { flags: 'S', sequence: 1 }));
  const answer = tcp(server, guest, [80, sourcePort], { flags: 'SA', sequence: 9, acknowledged: 2 });
  return Object.keys(await lab.send('server', answer)).includes(from);
}

function limitsOf(said: string[]): ZoneLimits {
  return new ZoneLimits({ ask: (...args) => lab.appctl(...args), perPort, log: (message) => said.push(message) });
}

it('a port that opens all the connections that it can leaves room for those of others, and keeps its own', async () => {
  const said: string[] = [];
  const limits = limitsOf(said);
  await lab.load(compile(given, local));
  await limits.keep(local.numbers);
  let opened = 0;
  for (let more = 0; more < tableSize + 10; more += 1) opened += (await connects('greedy', 1000 + more)) ? 1 : 0;
  assert.equal(await connects('modest', 1000), true, 'another port');
  assert.equal(opened, perPort);
  const middle = tcp(server, greedy, [80, 1000], { flags: 'A', sequence: 10, acknowledged: 2 });
  assert.deepEqual(Object.keys(await lab.send('server', middle)), ['greedy'], 'what is open goes on');

  await limits.keep(local.numbers);
  await limits.keep(local.numbers);
  const full = 'port greedy has 20 connections, as many as it may: it gets no new ones until some end';
  assert.deepEqual(said, [full], 'it is told once');
  const first = `ct_nw_src=${greedy.ip},ct_nw_dst=${server.ip},ct_nw_proto=6,ct_tp_src=1000,ct_tp_dst=80`;
  await lab.appctl('dpctl/flush-conntrack', `zone=${local.numbers.ports.greedy}`, first);
  await limits.keep(local.numbers);
  assert.equal(await connects('greedy', 2000), true, 'one ended');
  await limits.keep(local.numbers);
  assert.deepEqual(said, [full, full], 'and again when it is full again');
});

it('each port and each router has its limit, however many there are, until it is gone', async () => {
  const ports = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`nic${index}`, index + 1]));
  const numbers: Numbers = { ports, routers: { router: 2000 }, networks: {}, profiles: {} };
  const limits = limitsOf([]);
  const inForce = async (): Promise<string[]> => {
    const lines = (await lab.appctl('dpctl/ct-get-limits')).split('\n').filter((line) => line.startsWith('zone='));
    return lines.map((line) => line.replace(/,count=.*/, '')).sort();
  };
  const wanted = Object.values(ports).map((zone) => `zone=${zone},limit=${perPort}`);
  await limits.keep(numbers);
  assert.deepEqual(await inForce(), [...wanted, `zone=2000,limit=${4 * perPort}`].sort());
  await lab.appctl('dpctl/ct-set-limits', 'zone=7,limit=1', 'zone=3000,limit=9');
  await lab.appctl('dpctl/ct-del-limits', 'zone=8');
  await limits.keep(numbers);
  await limits.drop([2000]);
  assert.deepEqual(await inForce(), [...wanted, 'zone=3000,limit=9'].sort(), 'one of somebody else is left alone');
});

it('a switch that cannot limit connections works without; the log says why, once', async () => {
  const said: string[] = [];
  const log = (message: string, error?: unknown): void => void said.push(`${message}: ${(error as Error).message}`);
  const failures = ['Operation not supported', 'Operation not supported', 'no ovs-vswitchd answers'];
  const ask = (): Promise<string> => Promise.reject(new UnixctlError('refused', failures.shift() ?? 'asked too often'));
  const limits = new ZoneLimits({ ask, log });
  for (let round = 0; round < 3; round += 1) await limits.keep(local.numbers);
  const why = ['Operation not supported', 'no ovs-vswitchd answers'];
  assert.deepEqual(
    said,
    why.map((words) => `connections are not limited: ${words}`),
  );
});
