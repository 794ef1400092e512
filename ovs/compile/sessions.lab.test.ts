/** TCP connections that are met in their middle, on a real switch: what is picked up, what was cut and stays so. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compile } from './compile.ts';
import { sessionMark } from './sessions.ts';
import type { Cut, Rule } from './slice.ts';
import { FlowLab } from './testing/flow-lab.ts';
import { type Station, tcp } from './testing/frames.ts';
import { localSwitch, network, port, rule, slice } from './testing/slices.ts';

const web: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const client: Station = { mac: '52:54:00:00:00:a2', ip: '10.0.0.2' };
const other: Station = { mac: '52:54:00:00:00:a3', ip: '10.0.0.3' };
const out = rule('out', { direction: 'out' });
const fromOther = rule('other', { protocol: 6, remote: { cidr: '10.0.0.3/32' } });

let lab: FlowLab;
before(async () => {
  lab = await FlowLab.start({ web: 11, client: 12, other: 13 });
});
after(() => lab.stop());

async function load(rules: readonly Rule[], cuts?: readonly Cut[]): Promise<void> {
  const of = ({ mac, ip }: Station) => ({ macAddress: mac, addresses: [ip] });
  const given = slice({
    networks: [network('blue')],
    ports: [
      port('web', { ...of(web), filtered: true, securityGroupIds: ['g'], cuts }),
      port('client', of(client)),
      port('other', of(other)),
    ],
    groups: [{ groupId: 'g', rules }],
  });
  await lab.load(compile(given, localSwitch(given, { tunnelPort: null })));
}

/** Whether it arrives. */
async function passes(
  from: Station,
  to: Station,
  ports: readonly [number, number],
  flags: 'S' | 'A',
): Promise<boolean> {
  const name = from === web ? 'web' : from === client ? 'client' : 'other';
  return Object.keys(await lab.send(name, tcp(from, to, ports, { flags }))).length > 0;
}

test('a connection met in its middle is picked up in the direction that a rule allows', async () => {
  await load([out]);
  assert.equal(await passes(client, web, [4000, 80], 'A'), false, 'no rule lets it in');
  assert.equal(await passes(web, client, [80, 4000], 'A'), true);
  assert.equal(await passes(client, web, [4000, 80], 'A'), true, 'now it is known');
});

test('a session into the port that was cut does not come back when the port itself sends', async () => {
  await load([out, fromOther], [{ opened: 'in', address: web.ip, port: 80, remote: client.ip }]);
  assert.equal(await passes(web, client, [80, 4000], 'A'), false);
  assert.equal(await passes(client, web, [4000, 80], 'A'), false);
  assert.equal(await passes(web, other, [80, 4000], 'A'), true, 'another end');
  assert.equal(await passes(other, web, [4001, 80], 'A'), true, 'what rules allow in');
  assert.equal(await passes(web, client, [5000, 80], 'A'), true, 'a connection of its own');
  assert.equal(await passes(web, client, [80, 4000], 'S'), true, 'a new connection');
  assert.equal(await passes(web, client, [80, 4000], 'A'), true, 'and what belongs to it');
});

test('a session out of the port that was cut does not come back when the other end sends', async () => {
  await load([rule('in')], [{ opened: 'out', address: web.ip, port: 443, remote: client.ip }]);
  assert.equal(await passes(client, web, [443, 5000], 'A'), false);
  assert.equal(await passes(web, client, [5000, 443], 'A'), false);
  assert.equal(await passes(other, web, [443, 5000], 'A'), true);
  assert.equal(await passes(client, web, [4000, 80], 'A'), true);
});

test('a cut may be wide: from anybody, to any port', async () => {
  await load([out], [{ opened: 'in', address: web.ip, port: null, remote: null }]);
  assert.equal(await passes(web, client, [80, 4000], 'A'), false);
  assert.equal(await passes(web, other, [5000, 81], 'A'), false);
  assert.equal(await passes(web, other, [5000, 81], 'S'), true);
});

test('the entry of a connection says who opened it, and whether that is certain', async () => {
  await load([out, rule('in', { protocol: 6 })]);
  await passes(web, client, [5000, 80], 'S');
  await passes(web, client, [5001, 80], 'A');
  await passes(client, web, [4000, 80], 'S');
  await passes(client, web, [4001, 80], 'A');
  const dump = await lab.appctl('dpctl/dump-conntrack');
  const markOf = (port: number): number => Number(new RegExp(`sport=${port},.*mark=(\\d+)`).exec(dump)?.[1]);
  const { opened, midway } = sessionMark;
  assert.deepEqual([5000, 5001, 4000, 4001].map(markOf), [
    opened.out,
    opened.out | midway,
    opened.in,
    opened.in | midway,
  ]);
});
