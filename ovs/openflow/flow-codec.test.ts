/** Encodings against bytes that `ovs-ofctl` puts on the wire, and what is refused before it gets there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Action, FieldName, Flow, Match } from '../flow.ts';
import { everyFlow } from '../testing/every-flow.ts';
import { encodeAdd, encodeInstructions, flowKey } from './flow-codec.ts';
import { decodeMatch, encodeFields, encodeMatch, recodeFields } from './match-codec.ts';

const ipv4: Match = { eth_type: { value: 0x800n } };
const ping: Match = { ...ipv4, ip_proto: { value: 1n }, icmpv4_type: { value: 0n }, icmpv4_code: { value: 255n } };

function flow(match: Match, actions: readonly Action[] = []): Flow {
  return { table: 2, priority: 18, cookie: 0n, match, actions };
}

function actionBytes(action: Action, match: Match = ipv4): string {
  return encodeInstructions(flow(match, [action]))
    .subarray(8)
    .toString('hex');
}

test('a whole flow is what ovs-ofctl sends', () => {
  const bytes = encodeAdd(flow(ping, [{ do: 'set', to: 'reg0', value: 0n }]));
  assert.equal(
    bytes.toString('hex'),
    '0000000000000000' +
      '0000000000000000' +
      '0200000000000012' +
      'ffffffffffffffffffffffff00000000' +
      '0001001980000a0208008000140101800026010080002801ff00000000000000' +
      '0004001800000000' +
      '00190010000100040000000000000000',
  );
});

test('conntrack and address translation are what ovs-ofctl sends', () => {
  const addresses = { from: '1.2.3.4', to: '1.2.3.4' };
  const nat = (bytes: string) => `ffff00300000232000230001000000000000ff0000000000${bytes}`;
  const ct = { do: 'ct', commit: true, zone: 0 } as const;
  assert.equal(actionBytes(ct), 'ffff00180000232000230001000000000000ff0000000000');
  assert.equal(actionBytes({ ...ct, commit: false, table: 3 }), 'ffff00180000232000230000000000000000030000000000');
  assert.equal(
    actionBytes({ ...ct, nat: { kind: 'src', addresses } }),
    nat('ffff00180000232000240000000100010102030400000000'),
  );
  const oneOf = { ...ct, nat: { kind: 'src' as const, addresses, ports: { from: 5, to: 5 } } };
  assert.equal(actionBytes(oneOf), nat('ffff00180000232000240000000100110102030400050000'));
  const range = { ...ct, nat: { kind: 'dst' as const, addresses, ports: { from: 5, to: 6 } } };
  assert.equal(actionBytes(range), nat('ffff00180000232000240000000200310102030400050006'));
});

test('a match comes back from its encoding, and its key knows it again', () => {
  for (const { match } of everyFlow) {
    const bytes = encodeMatch(match);
    const decoded = decodeMatch(bytes);
    assert.equal(decoded.length, bytes.length);
    assert.deepEqual(encodeMatch(decoded.match), bytes);
    assert.deepEqual(recodeFields(decoded), encodeFields(match));
  }
  assert.equal(new Set(everyFlow.map(flowKey)).size, everyFlow.length);
});

test('matches that mean the same are the same', () => {
  const key = (match: Match) => flowKey(flow(match));
  assert.equal(key({ reg1: { value: 1n, mask: 0xffffffffn } }), key({ reg1: { value: 1n } }));
  assert.equal(key({ reg1: { value: 0n, mask: 0n } }), key({}));
  assert.equal(key({ xxreg0: { value: 5n, mask: 0xffffffffn } }), key({ reg3: { value: 5n } }));
  assert.equal(key({ reg1: { value: 1n }, ...ipv4 }), key({ ...ipv4, reg1: { value: 1n } }));
  assert.notEqual(key({ reg1: { value: 1n, mask: 1n } }), key({ reg1: { value: 1n } }));
});

test('a field we do not know stays a difference', () => {
  const pktMark = Buffer.from('0001000c000142040000000100000000', 'hex');
  const decoded = decodeMatch(pktMark);
  assert.deepEqual([decoded.match, decoded.unknown.length], [{}, 1]);
  assert.notDeepEqual(recodeFields(decoded), encodeFields({}));
});

test('what a field presupposes must be in the match, and the refusal names the field', () => {
  const refused = (match: Match, words: RegExp) => assert.throws(() => encodeAdd(flow(match)), words);
  refused({ tcp_dst: { value: 80n } }, /tcp_dst needs a match on eth_type of IP and ip_proto 6/);
  refused({ ...ipv4, tcp_dst: { value: 80n } }, /tcp_dst needs/);
  refused({ ipv4_src: { value: 1n } }, /ipv4_src needs a match on eth_type 0x0800/);
  refused({ ...ipv4, ipv6_src: { value: 1n } }, /ipv6_src needs a match on eth_type 0x86dd/);
  refused({ ...ipv4, arp_spa: { value: 1n } }, /arp_spa needs/);
  refused({ ...ipv4, ct_nw_dst: { value: 1n } }, /ct_nw_dst needs/);
  const act = (action: Action, words: RegExp, match: Match = ipv4) =>
    assert.throws(() => encodeAdd(flow(match, [action])), words);
  act({ do: 'set', to: 'udp_dst', value: 1n }, /udp_dst needs/);
  act({ do: 'ct', commit: true, zone: 1 }, /ct needs a match on eth_type/, {});
  act({ do: 'dec-ttl' }, /dec-ttl needs/, {});
});

test('values, masks and bits that do not fit are refused by name', () => {
  const bits = (field: FieldName, start: number, count: number) => ({ field, start, count });
  const refused = (match: Match, actions: readonly Action[], words: RegExp) =>
    assert.throws(() => encodeAdd(flow(match, actions)), words);
  refused({ reg1: { value: 1n << 32n } }, [], /reg1 has 32 bits/);
  refused({ reg1: { value: 2n, mask: 1n } }, [], /reg1 has value bits outside of its mask/);
  refused({ in_port: { value: 2n, mask: 2n } }, [], /in_port cannot be used in part/);
  refused({ xxreg0: { value: 1n }, reg2: { value: 1n } }, [], /reg2 is a part of xxreg0/);
  refused({}, [{ do: 'set', to: 'eth_type', value: 1n }], /eth_type cannot be set/);
  refused({}, [{ do: 'set', to: 'ct_mark', value: 1n }], /ct_mark can be set only in the exec of a ct/);
  refused(
    ipv4,
    [{ do: 'ct', commit: true, zone: 1, exec: [{ do: 'set', to: 'reg0', value: 1n }] }],
    /reg0 can be set not in the exec/,
  );
  refused(
    ipv4,
    [{ do: 'ct', commit: true, zone: 1, exec: [{ do: 'output', port: 1 }] }],
    /output cannot stand in the exec/,
  );
  refused(ipv4, [{ do: 'ct', commit: true, zone: bits('reg0', 0, 8) }], /a zone has 16 bits/);
  refused(ipv4, [{ do: 'ct', commit: true, zone: 65536 }], /a conntrack zone is 65536/);
  refused({}, [{ do: 'output-reg', from: bits('reg0', 20, 16) }], /reg0 has no bits 20 to 35/);
  refused({}, [{ do: 'move', from: bits('reg0', 0, 8), to: bits('reg1', 0, 9) }], /8 bits do not move into 9/);
  refused(
    {},
    [
      { do: 'output', port: 1 },
      { do: 'meter', meterId: 1 },
    ],
    /meter must be the first action/,
  );
  refused({}, [{ do: 'output', port: 0xff00 }], /a port is 65280/);
  refused({}, [{ do: 'resubmit', table: 255 }], /a table is 255/);
  refused({}, [{ do: 'conjunction', id: 1, clause: 3, of: 2 }], /a clause is 3/);
  refused(
    ipv4,
    [{ do: 'ct', commit: true, zone: 1, nat: { kind: 'src', addresses: { from: 'x', to: 'x' } } }],
    /no range of addresses/,
  );
});
