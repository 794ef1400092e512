/** Contract -> routes: each operation becomes one route that admits, validates, runs its handler and answers. */
import { apiPrefix } from '@kvasir/api/contract.ts';
import type { KvasirError } from '@kvasir/api/errors.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Environment } from '../services/call.ts';
import type { Leads } from '../services/leading.ts';
import { Exchange } from './exchange.ts';
import type { Handler } from './handler.ts';
import { etag } from './headers.ts';
import type { Metrics } from './metrics.ts';
import { sendProblem, toKvasirError } from './problems.ts';
import { requestValidator } from './validation.ts';

/** What routes are told of the rest of the server. */
export interface Around {
  readonly metrics: Metrics;
  readonly leads: Leads;
}

const exchanges = new WeakMap<FastifyRequest, Exchange>();

/** The exchange of a request whose route is one of the contract's. */
export function exchangeOf(request: FastifyRequest): Exchange | undefined {
  return exchanges.get(request);
}

export function addRoutes(app: FastifyInstance, env: Environment, handlers: readonly Handler[], around: Around): void {
  for (const handler of handlers) addRoute(app, env, handler, around);
}

function addRoute(app: FastifyInstance, env: Environment, handler: Handler, { metrics, leads }: Around): void {
  const { op } = handler;
  const validate = requestValidator(op);
  app.route({
    method: op.method,
    url: routePath(op),
    onRequest: async (request) => {
      const exchange = new Exchange(env, handler, request);
      exchanges.set(request, exchange);
      await exchange.admit();
      if (handler.onlyLeader === true) await exchange.requireLead(leads);
    },
    handler: async (request, reply) => {
      const exchange = exchanges.get(request)!;
      const answer = await exchange.answer(validate(op.transport === 'sse' ? resumed(request) : request));
      await exchange.ended(op.status, undefined);
      return send(reply, op, op.transport === 'json' ? await exchange.told(answer) : answer);
    },
    errorHandler: (thrown, request, reply) => {
      const error = toKvasirError(thrown, request.log);
      void refuse(request, error).then((told) => sendProblem(reply, told));
    },
    onResponse: async (_request, reply) => {
      metrics.requestEnded(op.id, reply.statusCode, reply.elapsedTime / 1000);
    },
  });
}

/** A browser that reconnects says where it was in a header. */
function resumed(request: FastifyRequest): { params: unknown; query: unknown; body: unknown } {
  const { params, body, headers } = request;
  const query = request.query as Record<string, unknown>;
  const last = headers['last-event-id'];
  return { params, body, query: last === undefined ? query : { ...query, after: last } };
}

/** Audits it; answers what is told of it. */
async function refuse(request: FastifyRequest, error: KvasirError): Promise<KvasirError> {
  const exchange = exchanges.get(request);
  try {
    await exchange?.ended(error.status, error);
  } catch (cause) {
    request.log.error({ err: cause }, 'a refusal could not be audited');
  }
  try {
    return (await exchange?.toldError(error)) ?? error;
  } catch (cause) {
    // The database is away, and with it what must not be told.
    return toKvasirError(cause, request.log);
  }
}

/** `/vms/{vm}` -> `/v1/vms/:vm` */
export function routePath(op: Operation): string {
  return apiPrefix + op.path.replace(/\{(\w+)\}/g, ':$1');
}

function send(reply: FastifyReply, op: Operation, answer: unknown): FastifyReply {
  void reply.code(op.status).header('cache-control', 'no-store');
  if (op.status === 204) return reply.send();
  if (op.transport === 'binary') return reply.type('image/png').send(answer);
  if (op.transport === 'sse') return reply.type('text/event-stream').send(answer);
  const { revision, id } = answer as { revision?: unknown; id?: unknown };
  if (typeof revision === 'number') void reply.header('etag', etag(revision));
  if (op.status === 202 && typeof id === 'string') void reply.header('location', `${apiPrefix}/tasks/${id}`);
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(answer));
}
