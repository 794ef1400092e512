/**
 * The contract's one building block. An operation says what a request looks like, who may send it and what comes back;
 * from it follow the route, validation, the access check, audit, OpenAPI, the typed client, the CLI command and tests.
 *
 * Invariants: a task operation answers 202 with a `Task`; a create answers 201; a delete without a task answers 204 with
 * no body; a list answers a `Page`. `id` is `resource.verb` and is what audit entries and tests name.
 */
import { type Static, type TObject, type TSchema, Type } from 'typebox';

/**
 * The least role that may call an operation.
 * - `public`: nobody needs to be logged in; `session`: any logged-in user
 * - `project.*`: on the project that the request names or that owns the addressed resource
 * - `organization.admin`: on the organization that the request addresses
 * - `system.*`: the operator's roles; `system.admin` may do everything, `system.viewer` may read everything
 */
export type Access =
  | 'public'
  | 'session'
  | 'project.viewer'
  | 'project.member'
  | 'project.admin'
  | 'organization.admin'
  | 'system.viewer'
  | 'system.admin';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What the CLI needs beyond the schemas; everything has a default. */
export interface CliHints {
  /** Command words after the resource (default: the verb in kebab case). */
  readonly name?: string;
  /** The body or query field taken as a positional argument, e.g. `name` for `vm create web`. */
  readonly positional?: string;
  /** Columns of `-o table`, as paths into the response (`nics.0.macAddress`). */
  readonly columns?: readonly string[];
  /** The CLI has its own command for it (console, upload), or it makes no sense there. */
  readonly hidden?: boolean;
}

export interface OperationSpec<P extends TObject, Q extends TObject, B extends TSchema, R extends TSchema> {
  readonly method: Method;
  /** Below `/v1`, with parameters in braces: `/vms/{vm}`. Each must be a key of `params`. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  /** Kind of the task it starts; the answer is then 202 with that task. */
  readonly task?: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly response: R;
  /** Status of success; the default follows from the method and `task`. */
  readonly status?: 200 | 201 | 202 | 204;
  /** `stream`: server-sent events or a WebSocket; the response schema describes one message. */
  readonly transport?: 'json' | 'sse' | 'websocket' | 'binary';
  /** Creates: may carry an `Idempotency-Key` header. Default: POST with status 201 or 202. */
  readonly idempotent?: boolean;
  readonly cli?: CliHints;
}

export interface Operation<
  P extends TObject = TObject,
  Q extends TObject = TObject,
  B extends TSchema = TSchema,
  R extends TSchema = TSchema,
> {
  readonly id: string;
  readonly resource: string;
  readonly verb: string;
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly task: string | undefined;
  readonly params: P;
  readonly query: Q;
  /** `Type.Never()`-like `noBody` where no body is taken. */
  readonly body: B | undefined;
  readonly response: R;
  readonly status: 200 | 201 | 202 | 204;
  readonly transport: 'json' | 'sse' | 'websocket' | 'binary';
  readonly idempotent: boolean;
  readonly cli: CliHints;
}

/** What a handler receives and a client sends. */
export interface RequestOf<O extends Operation> {
  readonly params: Static<O['params']>;
  readonly query: Static<O['query']>;
  readonly body: BodyOf<Exclude<O['body'], undefined>>;
}
/** In brackets, because an operation without a body has `never` here. */
type BodyOf<B> = [B] extends [never] ? undefined : B extends TSchema ? Static<B> : never;
export type ResponseOf<O extends Operation> = Static<O['response']>;

const nothing = Type.Object({}, { additionalProperties: false });
type Nothing = typeof nothing;

/** Answer of operations that say nothing but success. */
export const noContent = Type.Null();

/** Declares an operation; `resource()` gives it its id. */
export function operation<
  P extends TObject = Nothing,
  Q extends TObject = Nothing,
  B extends TSchema = never,
  R extends TSchema = TSchema,
>(spec: OperationSpec<P, Q, B, R>): Operation<P, Q, B, R> {
  const status = spec.status ?? defaultStatus(spec.method, spec.task, spec.response);
  return {
    id: '',
    resource: '',
    verb: '',
    method: spec.method,
    path: spec.path,
    summary: spec.summary,
    access: spec.access,
    task: spec.task,
    params: spec.params ?? (nothing as unknown as P),
    query: spec.query ?? (nothing as unknown as Q),
    body: spec.body,
    response: spec.response,
    status,
    transport: spec.transport ?? 'json',
    idempotent: spec.idempotent ?? (spec.method === 'POST' && (status === 201 || status === 202)),
    cli: spec.cli ?? {},
  };
}

/** Names a resource's operations: `resource('vm', { create: operation(…) })` gives the ids `vm.create`, … */
export function resource<const T extends Readonly<Record<string, object>>>(name: string, operations: T): T {
  const named: Record<string, object> = {};
  for (const [verb, op] of Object.entries(operations)) {
    named[verb] = { ...op, id: `${name}.${verb}`, resource: name, verb };
  }
  return named as T;
}

function defaultStatus(method: Method, task: string | undefined, response: TSchema): 200 | 201 | 202 | 204 {
  if (task !== undefined) return 202;
  if (response === noContent) return 204;
  return method === 'POST' ? 201 : 200;
}
