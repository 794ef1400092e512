/** What people read of a refused value names what would be taken, and nothing that does not help. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import { mirrorOperations } from '@kvasir/api/resources/mirror.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { qosPolicyOperations } from '@kvasir/api/resources/qos-policy.ts';
import { requestValidator } from './validation.ts';

function refusal(op: Operation, body: unknown): Record<string, string> {
  try {
    requestValidator(op)({ params: {}, query: {}, body });
  } catch (error) {
    assert.ok(error instanceof KvasirError);
    return Object.fromEntries((error.fields ?? []).map(({ path, message }) => [path, message]));
  }
  return assert.fail('it was taken');
}

it('a text in the wrong form is told the right one', () => {
  const refused = refusal(networkOperations.create, {
    name: 'a b',
    domain: 'A',
    subnets: [{ cidr: 'x', gateway: '?' }],
  });
  assert.match(refused['/body/name']!, /1 to 63 letters/);
  assert.match(refused['/body/domain']!, /such as blue\.test/);
  assert.match(refused['/body/subnets/0/cidr']!, /such as 10\.0\.0\.0\/24/);
  assert.equal(refused['/body/subnets/0/gateway'], 'must be an IPv4 or IPv6 address');
});

it('a word that is not known is told those that are', () => {
  const refused = refusal(mirrorOperations.create, { name: 'm', targetKind: 'vxlan', sourcePorts: ['p'] });
  assert.deepEqual(refused, {
    '/body/targetKind': 'must be one of: gre, erspan',
    '/body/sourcePorts/0': 'must be an id (a UUID in lower case)',
  });
});

it('a value that may also be null is told what is wrong with it, once', () => {
  const refused = refusal(qosPolicyOperations.create, { name: 'q', fromVmKbps: 3, dscp: 'x' });
  assert.deepEqual(refused, { '/body/fromVmKbps': 'must be >= 64', '/body/dscp': 'must be integer' });
});

it('what is nested without end is refused where it goes too deep', () => {
  const levels = 400_000;
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    const name: unknown = JSON.parse(`${open.repeat(levels)}1${close.repeat(levels)}`);
    const [[path, message]] = Object.entries(refusal(networkOperations.create, { name })) as [[string, string]];
    assert.equal(message, 'is nested too deeply');
    assert.match(path, /^\/body\/name(\/[0a]){32}$/);
  }
});
