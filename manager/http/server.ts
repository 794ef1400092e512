/**
 * The API server: Fastify with the contract's routes, problem documents for everything that goes wrong, the OpenAPI
 * document and its pages (served from here alone), health and metrics. Listening is the caller's.
 */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { allOperations, apiPrefix } from '@kvasir/api/contract.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { openApiDocument } from '@kvasir/api/openapi.ts';
import { fastify, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { Environment } from '../services/call.ts';
import type { Leads } from '../services/leading.ts';
import { addConsoleSocket } from './console-socket.ts';
import { assertComplete } from './handler.ts';
import { handlers } from './handlers.ts';
import { Metrics } from './metrics.ts';
import { bodyLimitBytes, sendProblem, toKvasirError } from './problems.ts';
import { addRoutes } from './routes.ts';
import { addUploads } from './uploads.ts';

export interface ServerOptions {
  readonly logger?: FastifyBaseLogger;
  /** PEM texts; without them the server speaks plain HTTP (behind a proxy, or on loopback). */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  /** Left out: it does. */
  readonly leads?: Leads;
}

export async function createServer(env: Environment, options: ServerOptions = {}): Promise<FastifyInstance> {
  assertComplete(allOperations, handlers);
  const base = {
    ...(options.logger ? { loggerInstance: options.logger } : {}),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit: bodyLimitBytes,
    forceCloseConnections: true as const,
    routerOptions: { maxParamLength: 2048 },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: Parameters<typeof sendProblem>[0]) =>
      sendProblem(reply, toKvasirError(error, request.log)),
  };
  const app: FastifyInstance = options.tls ? fastify({ ...base, https: options.tls }) : fastify(base);
  const metrics = new Metrics();
  app.addHook('onClose', () => metrics.close());
  readJsonOnly(app);
  app.setErrorHandler((error, request, reply) => sendProblem(reply, toKvasirError(error, request.log)));
  app.setNotFoundHandler((request, reply) => sendProblem(reply, unknownRoute(request, reply)));
  app.addHook('onSend', async (_request, reply) => {
    void reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
  });
  await addDocument(app, env.version);
  const leads = options.leads ?? (() => true);
  addRoutes(app, env, handlers, { metrics, leads });
  await addUploads(app, env, leads);
  addConsoleSocket(app, env, { metrics, leads });
  app.get('/healthz', async (_request, reply) => {
    await env.store.db.selectFrom('leader').select('epoch').execute();
    return reply.send({ status: 'ok', version: env.version });
  });
  app.get('/metrics', (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.read()));
  return app;
}

function readJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    return parse(request, body as string, done);
  });
}

async function addDocument(app: FastifyInstance, version: string): Promise<void> {
  const document = openApiDocument(allOperations, version);
  const text = JSON.stringify(document);
  await app.register(swagger, { mode: 'static', specification: { document: document as never } });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, uiConfig: { docExpansion: 'none' } });
  // Who opens the address that the manager prints finds something to read.
  app.get('/', (_request, reply) => reply.redirect('/docs'));
  app.get('/openapi.json', (_request, reply) => reply.type('application/json; charset=utf-8').send(text));
}

const patterns = allOperations.map(({ method, path }) => ({
  method,
  address: new RegExp(`^${apiPrefix}${path.replace(/\{\w+\}/g, '[^/]+')}$`),
}));

function unknownRoute(request: FastifyRequest, reply: Parameters<typeof sendProblem>[0]): KvasirError {
  const path = request.url.split('?')[0] ?? '';
  const methods = patterns.filter(({ address }) => address.test(path)).map(({ method }) => method);
  if (methods.length === 0) return new KvasirError('unknown-route');
  void reply.header('allow', [...new Set(methods)].join(', '));
  return new KvasirError('method-not-allowed');
}
