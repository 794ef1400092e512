/**
 * Bad requests over the whole contract: each is refused with a 4xx problem that names the field, and changes nothing. Good
 * ones, generated from the schemas, never bring a 5xx, and every answer fits its own schema (`ask` sees to both).
 */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, it } from 'node:test';
import { allOperations, apiPrefix } from '@kvasir/api/contract.ts';
import type { Problem } from '@kvasir/api/errors.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import fc from 'fast-check';
import type { DatabaseKind } from '../../store/database.ts';
import { onDatabase, type OpenStore } from '../../testing/databases.ts';
import { type ApiWorld, openApiWorld } from './api-world.ts';
import { ask } from './ask.ts';
import { dump } from './dump.ts';
import { badValues, validValue } from './generate.ts';
import { type SampleRequest, sampleRequest } from './targets.ts';

const admin = 'system-admin';
const unchanging = new Set(['POST', 'PATCH', 'PUT', 'DELETE']);

/**
 * Declares the tests on one database; each has a test file of its own, for they take long. What is refused by its form never
 * comes as far as a database: that half is for one of them.
 */
export function contractSuite(kind: DatabaseKind): void {
  onDatabase(kind, 'contract', declare);
}

function declare(open: OpenStore, kind: DatabaseKind): void {
  let world: ApiWorld;
  before(async () => {
    world = await openApiWorld(await open());
  });
  after(() => world.close());

  for (const op of allOperations) {
    const refusals = async (): Promise<void> => {
      const good = await sampleRequest(world, op, world.userIds[admin]);
      const before = await dump(world.store);
      await refusesBadFields(world, op, good);
      await refusesBadBodies(world, op, good);
      await refusesBadAddresses(world, op, good);
      if (unchanging.has(op.method)) assert.equal(await dump(world.store), before);
    };
    if (kind === 'sqlite') it(`${op.id} refuses bad requests and changes nothing`, refusals);

    if (op.method === 'PATCH') {
      it(`${op.id} without a field changes nothing`, async () => {
        const good = await sampleRequest(world, op, world.userIds[admin]);
        const before = await dump(world.store);
        const { status } = await ask(world, admin, op, { ...good, body: {} });
        assert.deepEqual([status, await dump(world.store)], [200, before]);
      });
    }

    if (op.access === 'public' || op.transport === 'sse') continue;
    it(`${op.id} answers any good request by its schema`, async () => {
      const good = await sampleRequest(world, op, world.userIds[admin]);
      const known = [...Object.values(good.params), ...strings(good.body), ...strings(good.query)];
      const requests = fc.record({
        query: validValue(op.query, known),
        body: op.body === undefined ? fc.constant(undefined) : validValue(op.body, known),
      });
      const sent = fc.asyncProperty(requests, async ({ query, body }) => {
        const request = { params: good.params, query: query as Record<string, unknown>, body };
        await ask(world, admin, op, request);
      });
      await fc.assert(sent, { numRuns: 12, seed: 4711 });
      // And the one that is known to be good, unless a generated one took its objects away.
      await ask(world, admin, op, await sampleRequest(world, op, world.userIds[admin]));
    });
  }

  it('refuses addresses and methods that are not there', async () => {
    const cases = [
      ['GET', '/v1/nothing', 404, 'unknown-route'],
      ['PUT', '/v1/projects', 405, 'method-not-allowed'],
      ['DELETE', '/v1/vms', 405, 'method-not-allowed'],
      ['GET', '/v1/projects/%zz', 400, 'invalid-request'],
    ] as const;
    for (const [method, path, status, code] of cases) {
      const response = await fetch(world.baseUrl + path, { method });
      const problem = (await response.json()) as Problem;
      assert.deepEqual([response.status, problem.code], [status, code], path);
    }
  });
}

async function refusesBadFields(world: ApiWorld, op: Operation, good: SampleRequest): Promise<void> {
  const body = good.body as Record<string, unknown> | undefined;
  const bodies = op.body === undefined ? [] : badValues(op.body, body ?? {}, 'body');
  for (const { what, path, value } of bodies) {
    pointsAt(await ask(world, admin, op, { ...good, body: value }), path, `${op.id} body ${what}`);
  }
  for (const [key, value] of [['unknownField', '1'], ...Object.keys(op.query.properties).map((key) => [key, '\0'])]) {
    const answer = await ask(world, admin, op, { ...good, query: { ...good.query, [key!]: value } });
    pointsAt(answer, `/query/${key}`, `${op.id} query ${key}`);
  }
  for (const key of Object.keys(op.params.properties)) {
    for (const value of ['a b', 'x'.repeat(200), 'a\0b', '-', "'; drop table vms; --"]) {
      const answer = await ask(world, admin, op, { ...good, params: { ...good.params, [key]: value } });
      pointsAt(answer, `/params/${key}`, `${op.id} param ${key} ${value.slice(0, 20)}`);
    }
  }
}

function pointsAt(answer: { status: number; problem: Problem | undefined }, path: string, label: string): void {
  assert.equal(answer.status, 400, `${label}: ${answer.status} ${answer.problem?.message ?? ''}`);
  const paths = (answer.problem?.fields ?? []).map((field) => field.path);
  assert.ok(
    paths.some((found) => found === path || found.startsWith(`${path}/`)),
    `${label}: ${paths.join(' ')} instead of ${path}`,
  );
}

async function refusesBadBodies(world: ApiWorld, op: Operation, good: SampleRequest): Promise<void> {
  if (op.method === 'GET') return;
  for (const rawBody of ['{', '{"a":1,}', 'nothing', '\u0000']) {
    const { status, problem } = await ask(world, admin, op, good, { rawBody });
    assert.deepEqual([status, problem?.code], [400, 'malformed-json'], `${op.id} ${rawBody}`);
  }
  for (const rawBody of ['[]', '1', '"text"', '{"__proto__":{"a":1}}', '{"unknownField":{}}']) {
    const { status } = await ask(world, admin, op, good, { rawBody });
    assert.equal(status, 400, `${op.id} ${rawBody}`);
  }
  const media = await ask(world, admin, op, good, { rawBody: 'name=x', headers: { 'content-type': 'text/plain' } });
  assert.equal(media.status, 415, op.id);
  assert.equal(await sendHuge(world, op, good), 413, op.id);
}

async function refusesBadAddresses(world: ApiWorld, op: Operation, good: SampleRequest): Promise<void> {
  if ('project' in op.query.properties && op.access !== 'public') {
    const { status } = await ask(world, admin, op, { ...good, query: { ...good.query, project: 'no-such-project' } });
    assert.equal(status, 404, `${op.id} in a project that is not there`);
    if (Object.keys(op.params.properties).length > 0) {
      // The outsider is an administrator there, and so must not reach these objects by naming that project.
      const foreign = await ask(world, 'outsider', op, { ...good, query: { project: 'foreign' } });
      assert.ok([403, 404].includes(foreign.status), `${op.id} reached into another project: ${foreign.status}`);
    }
  }
  const missing = Object.fromEntries(
    Object.keys(op.params.properties).map((key) => [key, 'ffffffff-ffff-4fff-bfff-ffffffffffff']),
  );
  if (Object.keys(missing).length > 0 && op.access !== 'public') {
    const { status } = await ask(world, admin, op, { ...good, params: missing });
    assert.equal(status, 404, `${op.id} of what is not there`);
  }
  const changesOne = op.method === 'PATCH' || op.method === 'PUT' || op.method === 'DELETE';
  if (changesOne && Object.keys(op.params.properties).length > 0) {
    const stale = await ask(world, admin, op, good, { headers: { 'if-match': '"999999"' } });
    assert.equal(stale.problem?.code, 'stale-revision', `${op.id} took a stale ETag: ${stale.status}`);
    const malformed = await ask(world, admin, op, good, { headers: { 'if-match': 'banana' } });
    pointsAt(malformed, '/headers/if-match', op.id);
  }
  if (op.idempotent) {
    const key = await ask(world, admin, op, good, { headers: { 'idempotency-key': 'x'.repeat(200) } });
    pointsAt(key, '/headers/idempotency-key', op.id);
  }
}

/** 10 MB; the server answers before it has read them, so this needs a client that listens while it sends. */
function sendHuge(world: ApiWorld, op: Operation, good: SampleRequest): Promise<number> {
  const path = op.path.replace(/\{(\w+)\}/g, (_, key: string) => good.params[key] ?? '');
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const sending = httpRequest(`${world.baseUrl}${apiPrefix}${path}`, {
    method: op.method,
    headers: {
      authorization: `Bearer ${world.tokens[admin]}`,
      'content-type': 'application/json',
      'content-length': 10_000_000,
    },
  });
  sending.on('response', (response) => {
    resolve(response.statusCode ?? 0);
    sending.destroy();
  });
  sending.on('error', reject);
  sending.end(Buffer.alloc(10_000_000, 0x20));
  return promise;
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}
