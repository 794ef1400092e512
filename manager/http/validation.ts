/**
 * Checks requests against the contract's schemas. Owns the form of field errors: JSON pointers from the part of the
 * request (`/params/vm`, `/query/limit`, `/body/memoryMib`, `/headers/if-match`).
 *
 * Query strings are read by the schema's types (`true`, `12`); everything else is taken as it came, so that a wrong type
 * is refused and never converted. Strings with NUL or half a surrogate pair are refused everywhere: no database keeps them. So
 * is what is nested without end.
 */
import type { Operation } from '@kvasir/api/operation.ts';
import { type FieldError, KvasirError } from '@kvasir/api/errors.ts';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { type SchemaError, withoutNulls, wordsOf } from './field-words.ts';

type Part = 'params' | 'query' | 'body' | 'response';
/** Checks one part; the answer is empty when it is valid. */
type Check = (value: unknown) => FieldError[];

export interface RawRequest {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}
export interface CheckedRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

/** Compiles an operation's schemas once; the result checks one request or throws `invalid-request` with all fields. */
export function requestValidator(op: Operation): (raw: RawRequest) => CheckedRequest {
  const checkParams = compileCheck('params', op.params);
  const checkQuery = compileCheck('query', op.query);
  const checkBody = op.body === undefined ? refuseBody : compileCheck('body', op.body);
  const queryTypes = propertyTypes(op.query);
  return (raw) => {
    const query = readQuery(raw.query, queryTypes);
    const body = raw.body ?? (op.body === undefined ? undefined : {});
    const fields = [...checkParams(raw.params), ...checkQuery(query), ...checkBody(body)];
    if (fields.length > 0) throw invalidFields(fields);
    return {
      params: raw.params as Record<string, string>,
      query: query as Record<string, unknown>,
      body: op.body === undefined ? undefined : body,
    };
  };
}

/** Checks an answer against its own schema (tests do this to every answer). */
export function responseValidator(op: Operation): Check {
  return compileCheck('response', op.response);
}

export function invalidFields(fields: readonly FieldError[]): KvasirError {
  const [first] = fields;
  return new KvasirError(
    'invalid-request',
    { reason: first ? `${first.path} ${first.message}` : 'see fields' },
    fields,
  );
}

function compileCheck(part: Part, schema: TSchema): Check {
  const validator = Compile(schema);
  return (value) => {
    const strange = findStrangeText(value, `/${part}`);
    if (strange) return [strange];
    if (validator.Check(value)) return [];
    const fields: FieldError[] = [];
    for (const error of withoutNulls(validator.Errors(value))) fields.push(...toFields(part, error));
    return unique(fields);
  };
}

function toFields(part: Part, error: SchemaError): FieldError[] {
  const at = `/${part}${error.instancePath}`;
  const params = error.params as { requiredProperties?: string[]; additionalProperties?: string[]; limit?: number };
  switch (error.keyword) {
    case 'required':
      return (params.requiredProperties ?? []).map((key) => ({
        path: `${at}/${pointer(key)}`,
        message: 'is required',
      }));
    case 'additionalProperties':
      return (params.additionalProperties ?? []).map((key) => ({
        path: `${at}/${pointer(key)}`,
        message: 'is not a known field',
      }));
    case 'boolean':
      return []; // the shadow of additionalProperties
    default:
      return [{ path: at, message: wordsOf(error) }];
  }
}

function unique(fields: readonly FieldError[]): FieldError[] {
  const seen = new Set<string>();
  return fields.filter(({ path, message }) => {
    const key = `${path} ${message}`;
    return seen.has(key) ? false : seen.add(key);
  });
}

/** Long keys are cut: a refusal must not repeat a megabyte. */
function pointer(key: string): string {
  return key.slice(0, 128).replaceAll('~', '~0').replaceAll('/', '~1');
}

const refuseBody: Check = (body) => {
  const empty = body === undefined || body === null || (isRecord(body) && Object.keys(body).length === 0);
  return empty ? [] : [{ path: '/body', message: 'is not taken by this operation' }];
};

/** More than anything in the contract: a megabyte of brackets must not fill the stack. */
const deepest = 32;

function findStrangeText(value: unknown, path: string, depth = 0): FieldError | undefined {
  if (depth > deepest) return { path, message: 'is nested too deeply' };
  if (typeof value === 'string')
    return isPlain(value) ? undefined : { path, message: 'has characters that no text may have' };
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const found = findStrangeText(item, `${path}/${index}`, depth + 1);
      if (found) return found;
    }
  } else if (isRecord(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (!isPlain(key)) return { path, message: 'has a field name with characters that no text may have' };
      const found = findStrangeText(item, `${path}/${pointer(key)}`, depth + 1);
      if (found) return found;
    }
  }
  return undefined;
}

function isPlain(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

type QueryType = 'integer' | 'number' | 'boolean' | 'other';

function propertyTypes(schema: TSchema): ReadonlyMap<string, QueryType> {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> };
  return new Map(Object.entries(properties).map(([key, { type }]) => [key, isQueryType(type) ? type : 'other']));
}

function isQueryType(type: string | undefined): type is 'integer' | 'number' | 'boolean' {
  return type === 'integer' || type === 'number' || type === 'boolean';
}

function readQuery(query: unknown, types: ReadonlyMap<string, QueryType>): unknown {
  if (!isRecord(query)) return {};
  return Object.fromEntries(Object.entries(query).map(([key, value]) => [key, readValue(value, types.get(key))]));
}

function readValue(value: unknown, type: QueryType | undefined): unknown {
  if (typeof value !== 'string') return value;
  if (type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value;
  if (type === 'integer' || type === 'number') return /^-?\d{1,15}(\.\d{1,15})?$/.test(value) ? Number(value) : value;
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
