/** Binds an operation of the contract to the service that answers it, with the types of both checked against each other. */
import type { Operation } from '@kvasir/api/operation.ts';
import type { Call, Change, ChangeService, OpenCall, OpenService, ReadService } from '../services/call.ts';
import type { CheckedRequest } from './validation.ts';

/** A bound operation: `read` needs no transaction, `change` runs in one, `open` makes its own by `call.change`. */
export type Handler = {
  /** A manager that stands by refuses it. */
  readonly onlyLeader?: boolean;
} & (
  | { readonly op: Operation; readonly mode: 'read'; run(call: Call, request: CheckedRequest): Promise<unknown> }
  | { readonly op: Operation; readonly mode: 'change'; run(call: Change, request: CheckedRequest): Promise<unknown> }
  | { readonly op: Operation; readonly mode: 'open'; run(call: OpenCall, request: CheckedRequest): Promise<unknown> }
);

/** Answers a read. */
export function reading<O extends Operation>(op: O, service: ReadService<O>): Handler {
  return { op, mode: 'read', run: service as unknown as (call: Call, request: CheckedRequest) => Promise<unknown> };
}

/** Answers a change: the whole service runs in one transaction, together with its audit entry and idempotency key. */
export function changing<O extends Operation>(op: O, service: ChangeService<O>): Handler {
  return { op, mode: 'change', run: service as unknown as (call: Change, request: CheckedRequest) => Promise<unknown> };
}

/** Answers an operation with work outside its transaction; `R` differs from the schema for binary answers only. */
export function opening<O extends Operation, R>(op: O, service: OpenService<O, R>): Handler {
  return { op, mode: 'open', run: service as unknown as (call: OpenCall, request: CheckedRequest) => Promise<unknown> };
}

/** Answered by the manager that leads alone: it needs the links to hosts, or what that manager heard or keeps. */
export function leading(handler: Handler): Handler {
  return { ...handler, onlyLeader: true };
}

/** @throws Error when an operation has no handler, two, or one that the contract does not know */
export function assertComplete(operations: readonly Operation[], handlers: readonly Handler[]): void {
  const bound = handlers.map(({ op }) => op.id);
  const missing = operations.filter(({ id }) => !bound.includes(id)).map(({ id }) => id);
  const unknown = bound.filter((id) => !operations.some((op) => op.id === id));
  const twice = bound.filter((id, index) => bound.indexOf(id) !== index);
  const faults = { 'without a handler': missing, 'not in the contract': unknown, 'handled twice': twice };
  for (const [what, ids] of Object.entries(faults)) {
    if (ids.length > 0) throw new Error(`Operations ${what}: ${ids.join(', ')}`);
  }
}
