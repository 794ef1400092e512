/**
 * The closed table of error codes: what every part of Kvasir may answer with, its HTTP status and its message.
 *
 * Messages are templates: `{name}` is filled from the details given to `KvasirError`. A new failure mode gets a new
 * row here; nothing else may invent codes. Unknown errors become `internal` with a log id, never their own text.
 */

export const errorTable = {
  'invalid-request': { status: 400, message: 'The request is not valid: {reason}' },
  'malformed-json': { status: 400, message: 'The request body is not valid JSON' },
  unauthenticated: { status: 401, message: 'Log in first: no valid session or API token was given' },
  'wrong-credentials': { status: 401, message: 'The user name or the password is wrong' },
  forbidden: { status: 403, message: 'Your role does not allow {operation}' },
  'not-found': { status: 404, message: 'There is no {kind} "{id}" here' },
  'unknown-route': { status: 404, message: 'There is no such address in the API' },
  'method-not-allowed': { status: 405, message: 'This address does not take that method' },
  'name-taken': { status: 409, message: 'A {kind} named "{name}" already exists' },
  'in-use': { status: 409, message: 'The {kind} "{name}" is in use by {by}' },
  'wrong-state': { status: 409, message: 'Cannot {action} {kind} "{name}" while it is {state}' },
  busy: { status: 409, message: 'The {kind} "{name}" is locked by task {task}' },
  'idempotency-mismatch': { status: 409, message: 'This Idempotency-Key was already used for another request' },
  'stale-revision': { status: 412, message: 'The {kind} was changed meanwhile: it is at revision {revision}' },
  'body-too-large': { status: 413, message: 'The request body is larger than {limitBytes} bytes' },
  'unsupported-media-type': { status: 415, message: 'The body must be JSON (application/json)' },
  'quota-exceeded': {
    status: 422,
    message: 'The quota for {what} would be exceeded: {used} used, {asked} asked, {limit} allowed',
  },
  'no-host-fits': { status: 422, message: 'No host can take this VM: {reasons}' },
  'host-not-empty': { status: 409, message: '{count} VM(s) could not leave host "{host}": {reasons}' },
  'no-room-for-failover': {
    status: 422,
    message: 'The cluster would no longer have room to restart the VMs of a host that fails: {reasons}',
  },
  'bad-image': { status: 422, message: 'The image is refused: {reason}' },
  'migration-impossible': { status: 422, message: 'The VM cannot be migrated: {reason}' },
  unsupported: { status: 422, message: '{reason}' },
  'too-many-requests': { status: 429, message: 'Too many requests: try again in {seconds} s' },
  internal: { status: 500, message: 'An internal error happened; the log has it under {logId}' },
  'host-unreachable': { status: 503, message: 'The host "{host}" is not connected' },
  'hypervisor-silent': { status: 503, message: 'The hypervisor of the host has not answered for {seconds} s' },
  'pool-unreachable': { status: 503, message: 'The host does not reach pool "{pool}": {reason}' },
  'host-dead': { status: 503, message: 'The host "{host}" died meanwhile: it is proven dead' },
  'not-leader': { status: 503, message: 'This manager is not the leader now; try again' },
  'stale-epoch': { status: 503, message: 'The command carries epoch {epoch}, but the host already knows {known}' },
  timeout: { status: 504, message: '{what} did not finish within {timeoutMs} ms' },
  'host-failed': { status: 502, message: 'The host answered: {reason}' },
  'fencing-failed': { status: 502, message: 'The power of host "{host}" could not be {action}: {reason}' },
  'host-not-awake': {
    status: 502,
    message: 'Host "{host}" was switched on, but its agent was not heard within {seconds} s',
  },
  'host-needed': { status: 409, message: 'Host "{host}" cannot be switched off: {reason}' },
  cancelled: { status: 409, message: 'The task was cancelled' },
} as const satisfies Record<string, { status: number; message: string }>;

export type ErrorCode = keyof typeof errorTable;
export const errorCodes = Object.keys(errorTable) as readonly ErrorCode[];

/** What is wrong with one field: `path` as a JSON pointer from the request's part (`/body/memoryMib`). */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

export type ErrorDetails = Readonly<Record<string, string | number>>;

/** RFC 9457 body of every refusal, content type `application/problem+json`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly fields?: readonly FieldError[];
  readonly task?: string;
}

/** The one error class that crosses parts (HTTP, agent link, task journal). */
export class KvasirError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly fields: readonly FieldError[] | undefined;

  constructor(code: ErrorCode, details: ErrorDetails = {}, fields?: readonly FieldError[], options?: ErrorOptions) {
    super(fillMessage(code, details), options);
    this.name = 'KvasirError';
    this.code = code;
    this.details = details;
    this.fields = fields;
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  toProblem(): Problem {
    return {
      type: `urn:kvasir:error:${this.code}`,
      title: this.code,
      status: this.status,
      code: this.code,
      message: this.message,
      ...(this.fields ? { fields: this.fields } : {}),
      ...(this.code === 'busy' && typeof this.details.task === 'string' ? { task: this.details.task } : {}),
    };
  }
}

/** An error for one bad field: `invalidField('/body/name', 'is taken by a UUID form')`. */
export function invalidField(path: string, message: string): KvasirError {
  return new KvasirError('invalid-request', { reason: `${path} ${message}` }, [{ path, message }]);
}

/**
 * Rebuilds an error that crossed a wire or the journal; unknown codes become `host-failed`. The message stays as it was
 * sent: a `Problem` carries no details to fill the template again.
 */
export function errorFromWire(wire: {
  code?: string;
  message?: string;
  details?: ErrorDetails;
  fields?: readonly FieldError[];
  task?: string;
}): KvasirError {
  if (wire.code === undefined || !Object.hasOwn(errorTable, wire.code)) {
    return new KvasirError('host-failed', { reason: wire.message ?? 'unknown error' });
  }
  const details = { ...wire.details, ...(wire.task === undefined ? {} : { task: wire.task }) };
  const error = new KvasirError(wire.code as ErrorCode, details, wire.fields);
  if (wire.message !== undefined) error.message = wire.message;
  return error;
}

function fillMessage(code: ErrorCode, details: ErrorDetails): string {
  return errorTable[code].message.replace(/\{(\w+)\}/g, (whole, key: string) => String(details[key] ?? whole));
}
