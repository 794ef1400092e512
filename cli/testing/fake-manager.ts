/**
 * A manager made of the contract alone: it knows every route, writes down what was asked, and answers with a value that
 * the operation's response schema allows, or with what the test says.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { allOperations, apiPrefix } from '@kvasir/api/contract.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import { sampleOf } from './schema-arbitrary.ts';

export interface AskedRequest {
  readonly operation: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly headers: IncomingMessage['headers'];
}

/** An object is sent as JSON, an error as its problem document; or the response is taken over (streams). */
export type Answer = (asked: AskedRequest, response: ServerResponse) => unknown;

export interface FakeManager {
  readonly url: string;
  readonly requests: AskedRequest[];
  answer(operation: string, answer: Answer): void;
  /** For everything that is no operation: uploads, WebSockets. */
  readonly server: ReturnType<typeof createServer>;
  readonly others: Map<string, (request: IncomingMessage, response: ServerResponse) => void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The answer took the response over. */
export const taken = Symbol('taken');

export async function startFakeManager(): Promise<FakeManager> {
  const routes = allOperations.map((operation) => ({ operation, matches: routePattern(operation) }));
  const answers = new Map<string, Answer>();
  const requests: AskedRequest[] = [];
  const others: FakeManager['others'] = new Map();

  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const other = others.get(url.pathname);
    if (other) return other(request, response);
    const route = routes.find((one) => one.operation.method === request.method && one.matches.test(url.pathname));
    if (!route) return sendError(response, new KvasirError('unknown-route'));
    const { operation } = route;
    const text = await readText(request);
    const asked: AskedRequest = {
      operation: operation.id,
      params: Object.fromEntries(
        Object.entries(route.matches.exec(url.pathname)?.groups ?? {}).map(([key, value]) => [
          key,
          decodeURIComponent(value),
        ]),
      ),
      query: Object.fromEntries(url.searchParams),
      body: text === '' ? undefined : JSON.parse(text),
      headers: request.headers,
    };
    requests.push(asked);
    const answer = answers.get(operation.id)?.(asked, response) ?? defaultAnswer(operation);
    if (answer === taken) return;
    if (answer instanceof KvasirError) return sendError(response, answer);
    response.statusCode = operation.status;
    if (operation.status === 204) return response.end();
    if (operation.transport === 'binary') return response.end(Buffer.from('\u0089PNG', 'latin1'));
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    server,
    others,
    answer: (operation, answer) => void answers.set(operation, answer),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const samples = new Map<string, unknown>();

/** Lists end with their first page, so that nobody asks for ever. */
function defaultAnswer(operation: Operation): unknown {
  if (!samples.has(operation.id)) samples.set(operation.id, sampleOf(operation.response));
  const sample = samples.get(operation.id);
  const isPage = typeof sample === 'object' && sample !== null && 'nextCursor' in sample;
  return isPage ? { ...sample, nextCursor: null } : sample;
}

function routePattern(operation: Operation): RegExp {
  const pattern = (apiPrefix + operation.path).replace(/\{(\w+)\}/g, '(?<$1>[^/]+)');
  return new RegExp(`^${pattern}$`);
}

function sendError(response: ServerResponse, error: KvasirError): void {
  response.statusCode = error.status;
  response.setHeader('content-type', 'application/problem+json').end(JSON.stringify(error.toProblem()));
}

export async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
