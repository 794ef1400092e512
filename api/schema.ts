/** The small schemas that all resources share: identity, time, labels, pages. Every object is closed (unknown fields refused). */
import { type Static, type TObject, type TOptional, type TProperties, type TSchema, Type } from 'typebox';

/** A closed object: unknown fields are refused with their path. */
export function closed<T extends TProperties>(
  properties: T,
  options: { readonly description?: string } = {},
): TObject<T> {
  return Type.Object(properties, { ...options, additionalProperties: false });
}

/** What a change of such an object may say: any of its fields, those that are left out stay. */
export function changeOf<T extends TProperties>({ properties }: TObject<T>) {
  const entries = Object.entries(properties).map(([key, schema]) => [key, Type.Optional(schema)]);
  return closed(Object.fromEntries(entries) as { [K in keyof T]: TOptional<T[K]> });
}

/** `null` written as OpenAPI 3.1 wants it. */
export function nullable<T extends TSchema>(schema: T) {
  return Type.Union([schema, Type.Null()]);
}

/** One of a few words. */
export function oneOf<const T extends readonly string[]>(
  words: T,
  options: { readonly description?: string; readonly default?: string } = {},
) {
  return Type.Enum<[...T]>([...words], { type: 'string', ...options });
}

export const uuidPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
export const Id = Type.String({ pattern: uuidPattern, description: 'UUID in lower case' });

/** Lists show ids cut; what can be read there can be typed. */
export const idStartPattern = '^[0-9a-f]{8}[0-9a-f-]{0,28}$';
export const IdStart = Type.String({
  pattern: idStartPattern,
  maxLength: 36,
  description: 'Id, or its beginning: at least 8 characters, as lists show it',
});

export const namePattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';
export const Name = Type.String({
  pattern: namePattern,
  maxLength: 63,
  description: 'Letters, digits, dot, dash and underscore; starts with a letter or digit; not in the form of a UUID',
});

/** A path parameter or reference by name or by id. */
export const NameOrId = Type.String({ pattern: namePattern, maxLength: 63, description: 'Name or id' });

/** Of a host's memory or CPUs. */
export const CapacityShare = Type.Number({ description: '1: all that may be promised' });

export const Timestamp = Type.String({ maxLength: 32, description: 'UTC time, ISO 8601 with milliseconds' });
export const Description = Type.String({ maxLength: 1024 });
export const Labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$' }),
  Type.String({ maxLength: 128 }),
  {
    maxProperties: 64,
    additionalProperties: false,
    description: 'Free key-value marks; an update names all that shall remain',
  },
);
export type Labels = Static<typeof Labels>;

export const MacAddress = Type.String({
  pattern: '^[0-9a-f]{2}(:[0-9a-f]{2}){5}$',
  description: 'Unicast MAC address in lower case',
});
export const Revision = Type.Integer({ minimum: 1, description: 'Grows with each change; also the ETag' });

/** Selects the project that a tenant's request works in; `default` when left out. */
export const projectQuery = { project: Type.Optional(NameOrId) };

/** Query of a list: exact-match filters of the resource, `sort` by a field (`-` in front: descending), `limit`, `cursor`. */
export function listQuery<T extends TProperties>(sortable: readonly string[], filters: T) {
  return closed({
    ...filters,
    sort: Type.Optional(oneOf([...sortable, ...sortable.map((field) => `-${field}`)])),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Items a page; default 100' })),
    cursor: Type.Optional(Type.String({ maxLength: 512, description: 'nextCursor of the page before' })),
  });
}

/** One page of a list. `nextCursor` is null on the last page. */
export function page<T extends TSchema>(item: T) {
  return closed({ items: Type.Array(item), nextCursor: nullable(Type.String()) });
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/** Where a field of every stored resource comes from. */
export const common = { id: Id, revision: Revision, createdAt: Timestamp, updatedAt: Timestamp };
