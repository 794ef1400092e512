/**
 * The typed client of the API over `fetch`, for the CLI, tests and programs. No Node module is imported, so browsers may
 * use it too.
 *
 * It sends what an operation declares and gives back what the operation declares; the server validates, so nothing is
 * checked twice. A refusal becomes the server's own `KvasirError`, message and fields as they were sent. No answer at all
 * becomes an `UnreachableError`: the request may have been carried out or not, which an idempotency key makes safe to
 * ask again.
 */
import { apiPrefix } from './contract.ts';
import { errorFromWire, KvasirError, type Problem } from './errors.ts';
import type { Operation, RequestOf, ResponseOf } from './operation.ts';
import { type Event, type EventGap, eventOperations } from './resources/event.ts';
import type { Page } from './schema.ts';
import { followEvents } from './event-follow.ts';

export interface ClientOptions {
  /** Where the manager serves the API, e.g. `http://127.0.0.1:8080`; a path is kept in front of `/v1`. */
  readonly baseUrl: string;
  /** Session or API token; asked anew for each request when a function. */
  readonly token?: string | (() => string | undefined);
  readonly fetch?: typeof fetch;
  /** How long one request may take; default 60 s. Watches have no end. */
  readonly timeoutMs?: number;
}

export interface CallOptions {
  /** Revision that the change is based on; refused with `stale-revision` when it is another now. */
  readonly ifMatch?: number | string;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

/** A part of a request; one without required fields may be left out. */
type Part<K extends string, T> = undefined extends T
  ? { readonly [P in K]?: undefined }
  : object extends T
    ? { readonly [P in K]?: T }
    : { readonly [P in K]: T };

export type CallRequest<O extends Operation> = Part<'params', RequestOf<O>['params']> &
  Part<'query', RequestOf<O>['query']> &
  Part<'body', RequestOf<O>['body']> &
  CallOptions;

/** For those who walk over the contract and know an operation only as data. */
export interface UntypedRequest extends CallOptions {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

type Argument<T> = object extends T ? [request?: T] : [request: T];

export interface WatchOptions {
  /** Last `seq` that is known; left out: from now on. */
  readonly after?: number;
  readonly project?: string;
  readonly signal?: AbortSignal;
  /** Told of each lost connection before the next attempt. */
  readonly onReconnect?: (cause: Error) => void;
  /** Told of events that are missing because they are no longer kept; left out: they end the watch with an error. */
  readonly onGap?: (gap: EventGap) => void;
}

export interface Client {
  readonly baseUrl: string;
  /** Sends one request. Answers of binary operations are a `Uint8Array`, those without content `null`. */
  call<O extends Operation>(operation: O, ...request: Argument<CallRequest<O>>): Promise<ResponseOf<O>>;
  send(operation: Operation, request?: UntypedRequest): Promise<unknown>;
  /** All items of a list, fetching page after page as they are consumed. */
  listAll<O extends Operation>(
    operation: O,
    ...request: Argument<CallRequest<O>>
  ): AsyncGenerator<ResponseOf<O> extends Page<infer T> ? T : unknown>;
  /** Events as they happen, each once and in order; reconnects by itself until `signal` ends it. */
  watchEvents(options?: WatchOptions): AsyncGenerator<Event>;
  /** The absolute address of a path of the API: `/vms`, `/v1/vms`, or one that an answer named (`uploadPath`). */
  address(path: string): URL;
  /** Headers that authenticate a request made without this client (uploads). */
  credentials(): Record<string, string>;
}

/** Nothing answered: the manager is down, the address is wrong, or the connection broke. */
export class UnreachableError extends Error {
  constructor(baseUrl: string, cause: unknown) {
    super(`cannot reach the manager at ${baseUrl}: ${reasonOf(cause)}`, { cause });
    this.name = 'UnreachableError';
  }
}

export function createClient(options: ClientOptions): Client {
  const baseUrl = options.baseUrl.replace(/\/+$/, '');
  const doFetch = options.fetch ?? fetch;
  const timeoutMs = options.timeoutMs ?? 60_000;

  const credentials = (): Record<string, string> => {
    const token = typeof options.token === 'function' ? options.token() : options.token;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  };
  const address = (path: string): URL => {
    const full = path === apiPrefix || path.startsWith(`${apiPrefix}/`) ? path : apiPrefix + path;
    return new URL(baseUrl + full);
  };

  const request = async (
    operation: Operation,
    asked: UntypedRequest,
    extra: Record<string, string>,
    signal: AbortSignal,
  ) => {
    const url = address(fillPath(operation.path, asked.params ?? {}));
    for (const [key, value] of Object.entries(asked.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const body = operation.body === undefined ? undefined : JSON.stringify(asked.body ?? {});
    const headers: Record<string, string> = {
      accept: 'application/json, application/problem+json',
      ...credentials(),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(asked.ifMatch === undefined ? {} : { 'if-match': etag(asked.ifMatch) }),
      ...(asked.idempotencyKey === undefined ? {} : { 'idempotency-key': asked.idempotencyKey }),
      ...extra,
    };
    let response: Response;
    try {
      response = await doFetch(url, { method: operation.method, headers, body, signal, redirect: 'error' });
    } catch (error) {
      asked.signal?.throwIfAborted();
      throw new UnreachableError(baseUrl, error);
    }
    if (!response.ok) throw await refusal(response, baseUrl);
    return response;
  };

  const send = async (operation: Operation, asked: UntypedRequest = {}): Promise<unknown> => {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = asked.signal ? AbortSignal.any([asked.signal, timeout]) : timeout;
    const binary = operation.transport === 'binary';
    const response = await request(operation, asked, binary ? { accept: '*/*' } : {}, signal);
    try {
      if (binary) return new Uint8Array(await response.arrayBuffer());
      const text = await response.text();
      if (text === '') return null;
      return JSON.parse(text) as unknown;
    } catch (error) {
      asked.signal?.throwIfAborted();
      if (error instanceof SyntaxError) throw new UnreachableError(baseUrl, new Error('the answer is not JSON'));
      throw new UnreachableError(baseUrl, error);
    }
  };

  async function* listAll(operation: Operation, asked: UntypedRequest = {}): AsyncGenerator<unknown> {
    let cursor = asked.query?.cursor;
    for (;;) {
      const query = cursor === undefined ? asked.query : { ...asked.query, cursor };
      const page = (await send(operation, { ...asked, query })) as Page<unknown>;
      yield* page.items;
      if (page.nextCursor === null) return;
      cursor = page.nextCursor;
    }
  }

  const watchEvents = (watch: WatchOptions = {}) =>
    followEvents(watch, {
      latest: async () => {
        const query = { sort: '-seq', limit: 1, project: watch.project };
        const page = (await send(eventOperations.list, { query, signal: watch.signal })) as Page<Event>;
        return page.items[0]?.seq ?? 0;
      },
      open: async (after, signal) => {
        const query = { after, project: watch.project };
        const headers = { accept: 'text/event-stream', 'last-event-id': String(after) };
        const response = await request(eventOperations.watch, { query, signal: watch.signal }, headers, signal);
        if (response.body === null) throw new UnreachableError(baseUrl, new Error('the stream is empty'));
        return response.body;
      },
      mayRetry: (error) => !(error instanceof KvasirError) || error.status >= 500 || error.status === 429,
    });

  return { baseUrl, send, listAll, watchEvents, address, credentials, call: send } as Client;
}

function fillPath(path: string, params: Readonly<Record<string, unknown>>): string {
  return path.replace(/\{(\w+)\}/g, (_, key: string) => {
    if (params[key] === undefined) throw new TypeError(`the path parameter ${key} is missing`);
    return encodeURIComponent(String(params[key]));
  });
}

function etag(value: number | string): string {
  return typeof value === 'string' && (value.startsWith('"') || value === '*') ? value : `"${value}"`;
}

async function refusal(response: Response, baseUrl: string): Promise<Error> {
  const text = await response.text().catch(() => '');
  let problem: Partial<Problem> | undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) problem = parsed;
  } catch {
    // Said below: not from Kvasir's API.
  }
  if (typeof problem?.message === 'string') return errorFromWire(problem);
  return new UnreachableError(baseUrl, new Error(`it answered HTTP ${response.status} without a problem document`));
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  const { cause } = error;
  const inner = cause instanceof AggregateError ? (cause.errors[0] as unknown) : cause;
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : '';
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET') return 'the connection broke';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the host name is not known';
  return inner instanceof Error && inner.message !== '' ? inner.message : error.message;
}
