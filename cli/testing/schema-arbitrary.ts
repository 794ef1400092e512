/** Values that a schema of the contract allows, for tests that walk over all operations. */
import fc from 'fast-check';
import type { Schema } from '../fields.ts';

interface FullSchema extends Schema {
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly exclusiveMinimum?: number;
  readonly multipleOf?: number;
}

const smallest = -1_000_000;
const largest = 1_000_000;

export function schemaArbitrary(given: unknown): fc.Arbitrary<unknown> {
  const schema = given as FullSchema;
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(schemaArbitrary));
  switch (schema.type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: schema.minimum ?? smallest, max: schema.maximum ?? largest });
    case 'number':
      return numberArbitrary(schema);
    case 'string':
      return stringArbitrary(schema);
    case 'array':
      return arrayArbitrary(schema);
    case 'object':
      return objectArbitrary(schema);
    default:
      return fc.jsonValue({ maxDepth: 1 });
  }
}

function numberArbitrary(schema: FullSchema): fc.Arbitrary<number> {
  const step = schema.multipleOf;
  if (step !== undefined) return fc.integer({ min: 1, max: (schema.maximum ?? largest) / step }).map((n) => n * step);
  return fc.double({ min: schema.minimum ?? smallest, max: schema.maximum ?? largest, noNaN: true }).map((n) => n + 0);
}

function stringArbitrary(schema: FullSchema): fc.Arbitrary<string> {
  const minLength = schema.minLength ?? 0;
  const maxLength = schema.maxLength ?? Number.POSITIVE_INFINITY;
  const pattern = schema.pattern === undefined ? undefined : new RegExp(schema.pattern);
  // What a pattern makes is short: where a length is asked for, plain strings are tried against the pattern instead.
  const strings =
    pattern && minLength <= 1
      ? fc.stringMatching(pattern)
      : fc
          .string({ minLength, maxLength: Math.min(maxLength, minLength + 24), unit: 'grapheme' })
          .filter((text) => !pattern || pattern.test(text));
  return strings.filter((text) => text.length >= minLength && text.length <= maxLength);
}

function arrayArbitrary(schema: FullSchema): fc.Arbitrary<unknown[]> {
  const item = schemaArbitrary(schema.items);
  const minLength = schema.minItems ?? 0;
  const length = { minLength, maxLength: Math.min(schema.maxItems ?? 3, minLength + 2) };
  return schema.uniqueItems ? fc.uniqueArray(item, length) : fc.array(item, length);
}

function objectArbitrary(schema: FullSchema): fc.Arbitrary<Record<string, unknown>> {
  const pattern = Object.entries(schema.patternProperties ?? {})[0];
  if (pattern) {
    const key = fc.stringMatching(new RegExp(pattern[0])).filter((text) => text !== '__proto__');
    return fc.dictionary(key, schemaArbitrary(pattern[1]), { maxKeys: 3, noNullPrototype: true });
  }
  const fields = Object.entries(schema.properties ?? {}).map(([key, value]) => [key, schemaArbitrary(value)] as const);
  return fc.record(Object.fromEntries(fields), {
    requiredKeys: [...(schema.required ?? [])],
    noNullPrototype: true,
  }) as fc.Arbitrary<Record<string, unknown>>;
}

/** One value, the same for the same seed. */
export function sampleOf(schema: unknown, seed = 1): unknown {
  return fc.sample(schemaArbitrary(schema), { numRuns: 1, seed })[0];
}
