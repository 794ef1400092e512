import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cookieOf, fnv1a, purposeOf } from './cookies.ts';
import { decodeQuestion, encodeQuestion, type Question } from './packet-in.ts';
import { portOfServiceClient, serviceClient } from './pipeline.ts';

test('a question survives the way to the agent', () => {
  const questions: Question[] = [
    { asks: 'dhcp', port: 1 },
    { asks: 'router-advertisement', port: 65_535 },
    { asks: 'neighbour', router: 256 },
    { asks: 'learn-neighbour', router: 7 },
  ];
  for (const question of questions) assert.deepEqual(decodeQuestion(encodeQuestion(question)), question);
  for (const bytes of [[], [0x4b, 0, 0], [0x4b, 9, 0, 1], [0, 0, 0, 1], [0x4b, 0, 0, 1, 0]]) {
    assert.equal(decodeQuestion(Uint8Array.from(bytes)), null);
  }
});

test('the services see one address for each address of each port', () => {
  assert.deepEqual(portOfServiceClient(serviceClient(65_535, 63)), { port: 65_535, index: 63 });
  assert.equal(serviceClient(1, 0), 0x64400001n);
  assert.equal(portOfServiceClient(0x0a000001n), null);
  assert.equal(portOfServiceClient(0x64800001n), null);
});

test('a cookie names purpose and subject', () => {
  assert.equal(purposeOf(cookieOf('rule', 'a')), 'rule');
  assert.notEqual(cookieOf('rule', 'a'), cookieOf('rule', 'b'));
  assert.notEqual(cookieOf('denied-in', 'a'), cookieOf('denied-out', 'a'));
  assert.equal(purposeOf(0n), null);
  assert.equal(fnv1a('foobar'), 0x85944171f73967e8n);
});
