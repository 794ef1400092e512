/** Operations of a transaction (RFC 7047, 5.2): those that Kvasir uses. */
import type { Row, Value } from './ovsdb-values.ts';

export type Condition = readonly [
  column: string,
  operator: '==' | '!=' | 'includes' | 'excludes' | '<' | '<=' | '>' | '>=',
  value: Value,
];
export type Mutation = readonly [column: string, mutator: '+=' | '-=' | 'insert' | 'delete', value: Value];

export type Operation =
  | { readonly op: 'insert'; readonly table: string; readonly row: Row; readonly 'uuid-name'?: string }
  | {
      readonly op: 'select';
      readonly table: string;
      readonly where: readonly Condition[];
      readonly columns?: readonly string[];
    }
  | { readonly op: 'update'; readonly table: string; readonly where: readonly Condition[]; readonly row: Row }
  | {
      readonly op: 'mutate';
      readonly table: string;
      readonly where: readonly Condition[];
      readonly mutations: readonly Mutation[];
    }
  | { readonly op: 'delete'; readonly table: string; readonly where: readonly Condition[] }
  | {
      readonly op: 'wait';
      readonly table: string;
      readonly where: readonly Condition[];
      readonly columns: readonly string[];
      readonly until: '==' | '!=';
      readonly rows: readonly Row[];
      readonly timeout?: number;
    }
  | { readonly op: 'comment'; readonly comment: string };

/** One operation's answer: `rows` of a select, `uuid` of an insert, `count` of the changing ones. */
export interface OperationResult {
  readonly rows?: readonly Row[];
  readonly uuid?: readonly ['uuid', string];
  readonly count?: number;
}

/**
 * A refusal. `code` is the database's own word (`constraint violation`, `referential integrity violation`, `timed out` …)
 * or one of ours: `disconnected` (sent, answer unknown), `not connected` (never sent), `no answer`.
 */
export class OvsdbError extends Error {
  readonly code: string;
  /** Index of the operation that failed; null when the whole transaction did. */
  readonly operation: number | null;

  constructor(code: string, details: string | null, operation: number | null = null) {
    super(details === null ? code : `${code}: ${details}`);
    this.name = 'OvsdbError';
    this.code = code;
    this.operation = operation;
  }
}

interface WireError {
  readonly error: string;
  readonly details?: string;
}

/** Checks what came back for `operations`: throws the first error in it. */
export function checkResults(results: unknown, operations: readonly Operation[]): OperationResult[] {
  if (!Array.isArray(results)) throw new OvsdbError('bad answer', 'not a list of results');
  for (const [index, result] of results.entries()) {
    if (!isWireError(result)) continue;
    throw new OvsdbError(result.error, result.details ?? null, index < operations.length ? index : null);
  }
  if (results.length < operations.length) throw new OvsdbError('bad answer', 'results are missing');
  return results as OperationResult[];
}

function isWireError(result: unknown): result is WireError {
  return typeof result === 'object' && result !== null && 'error' in result && typeof result.error === 'string';
}
