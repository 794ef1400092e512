/** Sends requests as they are (also bad ones) and holds every answer against the contract: its schema, or a problem document. */
import assert from 'node:assert/strict';
import { apiPrefix } from '@kvasir/api/contract.ts';
import { errorCodes, type Problem } from '@kvasir/api/errors.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import { responseValidator } from '../validation.ts';
import type { ApiWorld, Person } from './api-world.ts';
import type { SampleRequest } from './targets.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
  /** Set on refusals. */
  readonly problem: Problem | undefined;
}

export interface Manner {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent instead of the JSON of the body. */
  readonly rawBody?: string;
}

const checks = new Map<string, ReturnType<typeof responseValidator>>();

export async function ask(
  world: ApiWorld,
  who: Person | undefined,
  op: Operation,
  request: Partial<SampleRequest> = {},
  manner: Manner = {},
): Promise<Answer> {
  const path = op.path.replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(request.params?.[key] ?? ''));
  const url = new URL(`${world.baseUrl}${apiPrefix}${path}`);
  for (const [key, value] of Object.entries(request.query ?? {})) url.searchParams.set(key, String(value));
  const text =
    manner.rawBody ?? (op.body === undefined || request.body === undefined ? undefined : JSON.stringify(request.body));
  const response = await fetch(url, {
    method: op.method,
    headers: {
      ...(who === undefined ? {} : { authorization: `Bearer ${world.tokens[who]}` }),
      ...(text === undefined ? {} : { 'content-type': 'application/json' }),
      ...manner.headers,
    },
    ...(text === undefined ? {} : { body: text }),
  });
  if (op.transport === 'sse' && response.ok) {
    await response.body?.cancel();
    return { status: response.status, headers: response.headers, body: undefined, problem: undefined };
  }
  return readAnswer(op, response);
}

async function readAnswer(op: Operation, response: Response): Promise<Answer> {
  const { status, headers } = response;
  const text = await response.text();
  const label = `${op.id} answered ${status}: ${text.slice(0, 400)}`;
  assert.ok(status < 500 || status === 503, label);
  if (status >= 400) {
    const problem = JSON.parse(text) as Problem;
    assert.match(headers.get('content-type') ?? '', /^application\/problem\+json/, label);
    assert.equal(problem.status, status, label);
    assert.ok(errorCodes.includes(problem.code), label);
    assert.doesNotMatch(problem.message, /\{[a-zA-Z]\w*\}/, `the message has an unfilled place: ${label}`);
    return { status, headers, body: undefined, problem };
  }
  assert.equal(status, op.status, label);
  if (status === 204) return { status, headers, body: null, problem: undefined };
  if (op.transport !== 'json') return { status, headers, body: text, problem: undefined };
  const body: unknown = JSON.parse(text);
  const check = checks.get(op.id) ?? responseValidator(op);
  checks.set(op.id, check);
  assert.deepEqual(check(body), [], label);
  return { status, headers, body, problem: undefined };
}
