/**
 * Writes the contract as an OpenAPI 3.1 document. Pure: the same operations give the same document, in their order.
 * Schemas stand in place (TypeBox is JSON Schema already); only the problem document is shared.
 */
import type { TSchema } from 'typebox';
import { apiPrefix } from './contract.ts';
import { errorCodes } from './errors.ts';
import type { Operation } from './operation.ts';

type Json = Readonly<Record<string, unknown>>;

/** The document of these operations; `version` is Kvasir's. */
export function openApiDocument(operations: readonly Operation[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const op of operations) {
    const path = `${apiPrefix}${op.path}`;
    paths[path] = { ...paths[path], [op.method.toLowerCase()]: describe(op) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Kvasir',
      version,
      description:
        'Private cloud on KVM. Long work answers 202 with a task; refusals are problem documents (RFC 9457).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(operations.map((op) => op.resource))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'Session token or API token' },
      },
      schemas: { Problem: problemSchema },
      responses: {
        Problem: {
          description: 'Refused or failed',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}

function describe(op: Operation): Json {
  return {
    operationId: op.id,
    tags: [op.resource],
    summary: op.summary,
    description: `Access: ${op.access}.${op.task === undefined ? '' : ` Starts a task of kind ${op.task}.`}`,
    security: op.access === 'public' ? [] : [{ bearer: [] }],
    parameters: [
      ...parameters(op.params, 'path'),
      ...parameters(op.query, 'query'),
      ...(op.idempotent ? [idempotencyKey] : []),
      ...(takesIfMatch(op) ? [ifMatch] : []),
    ],
    ...(op.body === undefined ? {} : { requestBody: requestBody(op.body) }),
    responses: { [String(success(op))]: answer(op), default: { $ref: '#/components/responses/Problem' } },
    'x-kvasir-access': op.access,
    ...(op.task === undefined ? {} : { 'x-kvasir-task': op.task }),
  };
}

/** Changes of one stored object may be bound to the revision that was read. */
export function takesIfMatch(op: Operation): boolean {
  return op.method === 'PATCH' || op.method === 'PUT' || op.method === 'DELETE';
}

function success(op: Operation): number {
  return op.transport === 'websocket' ? 101 : op.status;
}

function answer(op: Operation): Json {
  const description = op.status === 202 ? 'The task that was started' : 'Done';
  if (op.status === 204) return { description };
  switch (op.transport) {
    case 'sse':
      return { description: 'Server-sent events', content: { 'text/event-stream': { schema: op.response } } };
    case 'binary':
      return { description: 'The content', content: { 'image/png': {} } };
    case 'websocket':
      return { description: 'WebSocket' };
    case 'json':
      return { description, content: { 'application/json': { schema: op.response } } };
  }
}

function requestBody(schema: TSchema): Json {
  const { required = [] } = schema as { required?: readonly string[] };
  return { required: required.length > 0, content: { 'application/json': { schema } } };
}

function parameters(schema: TSchema, place: 'path' | 'query'): Json[] {
  const { properties = {}, required = [] } = schema as {
    properties?: Record<string, TSchema & { description?: string }>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
}

const idempotencyKey: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'The same key with the same request gives the same answer for 24 hours; with another request it is refused',
  schema: { type: 'string', minLength: 1, maxLength: 128 },
};

const ifMatch: Json = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'ETag that was read; the change is refused (412) when the object has another one by now',
  schema: { type: 'string', maxLength: 64 },
};

const problemSchema: Json = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'message'],
  additionalProperties: false,
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: errorCodes },
    message: { type: 'string' },
    fields: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        additionalProperties: false,
        properties: { path: { type: 'string' }, message: { type: 'string' } },
      },
    },
    task: { type: 'string', description: 'Task that holds the object' },
  },
};
