import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Action, Match } from './flow.ts';
import { formatFlow } from './format-flow.ts';
import { formatIpv6 } from './format-value.ts';

const exactly = (value: bigint) => ({ value });
const ip = { eth_type: exactly(0x800n) };

function shown(match: Match, ...actions: Action[]): string {
  return formatFlow({ table: 30, priority: 100, cookie: 0n, match, actions });
}

test('a flow reads as ovs-ofctl writes it', () => {
  const match: Match = { reg5: exactly(1n), ...ip, ct_state: { value: 0x22n, mask: 0x22n } };
  const line = 'table=30,priority=100,ct_state=+est+trk,ip,reg5=0x1 actions=resubmit(,40)';
  assert.equal(shown(match, { do: 'resubmit', table: 40 }), line);
  assert.equal(
    formatFlow({ table: 0, priority: 0, cookie: 0xabn, match: {}, actions: [] }),
    'cookie=0xab,table=0,priority=0 actions=drop',
  );
});

test('masks of addresses are prefixes where they can be', () => {
  const match = (value: bigint, mask: bigint) =>
    shown({ ...ip, ipv4_src: { value, mask } })
      .split(',')[3]
      ?.split(' ')[0];
  assert.equal(match(0x0a000000n, 0xff000000n), 'nw_src=10.0.0.0/8');
  assert.equal(match(0x0a000001n, 0xffffffffn), 'nw_src=10.0.0.1');
  assert.equal(match(0x80000000n, 0x80000000n), 'nw_src=128.0.0.0/1');
  assert.equal(match(0x0a000001n, 0xff0000ffn), 'nw_src=10.0.0.1/255.0.0.255');
  const multicast = { value: 0x010000000000n, mask: 0x010000000000n };
  assert.match(shown({ eth_dst: multicast }), /dl_dst=01:00:00:00:00:00\/01:00:00:00:00:00 /);
});

test('IPv6 addresses are written as the C library does', () => {
  const cases: [bigint, string][] = [
    [0n, '::'],
    [1n, '::1'],
    [0xfe80n << 112n, 'fe80::'],
    [(0xfe80n << 112n) | 1n, 'fe80::1'],
    [(1n << 112n) | (1n << 64n) | 1n, '1:0:0:1::1'],
    [0x01020304n, '::1.2.3.4'],
    [0xffff01020304n, '::ffff:1.2.3.4'],
    [0x00010002000300040005000600070008n, '1:2:3:4:5:6:7:8'],
    [0x00010000000300040005000600070008n, '1:0:3:4:5:6:7:8'],
  ];
  for (const [value, text] of cases) assert.equal(formatIpv6(value), text);
});

test('VLAN tags: one, any, none', () => {
  const match = (value: bigint, mask?: bigint) => shown({ vlan_vid: { value, mask } });
  assert.match(match(0x1064n), /,dl_vlan=100 /);
  assert.match(match(0x1000n, 0x1000n), /,vlan_tci=0x1000\/0x1000 /);
  assert.match(match(0n), /,vlan_tci=0x0000\/0x1fff /);
});

test('actions within actions', () => {
  const line = shown(
    ip,
    {
      do: 'clone',
      actions: [
        { do: 'set', to: 'in_port', value: 1n },
        { do: 'output', port: 'in_port' },
      ],
    },
    {
      do: 'ct',
      commit: true,
      zone: { field: 'reg5', start: 0, count: 16 },
      nat: { kind: 'src', addresses: { from: '10.0.0.1', to: '10.0.0.5' }, ports: { from: 1, to: 100 } },
      exec: [{ do: 'set', to: 'ct_mark', value: 1n, mask: 0xffn }],
    },
    { do: 'controller', userdata: new Uint8Array([0, 255]), maxLength: 128, meterId: 7 },
  );
  assert.equal(
    line.split('actions=')[1],
    'clone(set_field:1->in_port,IN_PORT),' +
      'ct(commit,zone=NXM_NX_REG5[0..15],nat(src=10.0.0.1-10.0.0.5:1-100),exec(set_field:0x1/0xff->ct_mark)),' +
      'controller(max_len=128,userdata=00.ff,meter_id=7)',
  );
});
