/** Generates values of the contract's schemas, and values that break them in a known place. */
import fc from 'fast-check';

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
}

/** Any value that the schema accepts; `known` values are mixed in where they fit, so that some references lead somewhere. */
export function validValue(schema: unknown, known: readonly string[]): fc.Arbitrary<unknown> {
  const s = schema as Schema;
  if (s.anyOf) return fc.oneof(...s.anyOf.map((option) => validValue(option, known)));
  if (s.enum) return fc.constantFrom(...s.enum);
  switch (s.type) {
    case 'string':
      return validString(s, known);
    case 'integer':
      return fc.oneof(
        small(s),
        fc.integer({ min: s.minimum ?? -1000, max: Math.min(s.maximum ?? 1_000_000, 2 ** 31 - 1) }),
      );
    case 'number':
      return fc.integer({ min: 1, max: 64 }).map((value) => Math.max(s.minimum ?? 0, Math.min(value, s.maximum ?? 64)));
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return array(s, known);
    case 'object':
      return object(s, known);
    default:
      return fc.constant('anything');
  }
}

function small(s: Schema): fc.Arbitrary<number> {
  const min = s.minimum ?? 0;
  return fc.integer({ min, max: Math.min(s.maximum ?? min + 64, min + 64) });
}

function validString(s: Schema, known: readonly string[]): fc.Arbitrary<string> {
  const fits = (text: string): boolean =>
    (s.pattern === undefined || new RegExp(s.pattern).test(text)) &&
    text.length >= (s.minLength ?? 0) &&
    text.length <= (s.maxLength ?? 256) &&
    !text.includes('\0');
  const references = known.filter(fits);
  // A long text of a loose pattern would hardly ever come out of the pattern itself.
  const length = { minLength: s.minLength ?? 0, maxLength: Math.min(s.maxLength ?? 64, (s.minLength ?? 0) + 40) };
  const free = s.pattern === undefined || length.minLength > 8;
  const made = free ? fc.string({ unit: 'grapheme-ascii', ...length }) : fc.stringMatching(new RegExp(s.pattern ?? ''));
  const generated = made.filter(fits);
  return references.length === 0 ? generated : fc.oneof(generated, fc.constantFrom(...references));
}

function array(s: Schema, known: readonly string[]): fc.Arbitrary<unknown[]> {
  const item = validValue(s.items, known);
  const size = { minLength: s.minItems ?? 0, maxLength: Math.min(s.maxItems ?? 4, 4) };
  return s.uniqueItems ? fc.uniqueArray(item, size) : fc.array(item, size);
}

function object(s: Schema, known: readonly string[]): fc.Arbitrary<Record<string, unknown>> {
  if (s.patternProperties) {
    const [pattern, value] = Object.entries(s.patternProperties)[0]!;
    return fc.dictionary(validString({ pattern, maxLength: 63 }, []), validValue(value, known), { maxKeys: 3 });
  }
  const model = Object.fromEntries(
    Object.entries(s.properties ?? {}).map(([key, value]) => [key, validValue(value, known)]),
  );
  return fc.record(model, { requiredKeys: [...(s.required ?? [])] });
}

export interface BadValue {
  readonly what: string;
  /** Where the refusal must point: this path or below. */
  readonly path: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** For each field of an object schema: missing, of a wrong type, far too large; and a field that is not known. */
export function badValues(schema: unknown, good: Readonly<Record<string, unknown>>, part: string): BadValue[] {
  const { properties = {}, required = [] } = schema as Schema;
  const bad: BadValue[] = [
    { what: 'unknown field', path: `/${part}/unknownField`, value: { ...good, unknownField: 1 } },
  ];
  for (const [key, field] of Object.entries(properties)) {
    const path = `/${part}/${key}`;
    const wrong = (what: string, value: unknown): void =>
      void bad.push({ what: `${key}: ${what}`, path, value: { ...good, [key]: value } });
    wrong('wrong type', wrongType(field));
    wrong('object of objects', { deep: { deeper: [[[[]]]] } });
    if (accepts(field, 'string')) {
      wrong('huge text', 'x'.repeat(300_000));
      wrong('NUL', 'a\0b');
      wrong('half a character', '\ud800');
    }
    if (accepts(field, 'integer')) for (const value of [1.5, 1e300, -1]) wrong(String(value), value);
    if (required.includes(key)) {
      const { [key]: _missing, ...rest } = good;
      bad.push({ what: `${key}: missing`, path, value: rest });
    }
  }
  return bad;
}

function accepts(schema: Schema, type: string): boolean {
  return schema.type === type || (schema.anyOf ?? []).some((option) => accepts(option, type));
}

function wrongType(schema: Schema): unknown {
  return ['boolean', 'string', 'integer', 'object', 'array'].includes(schema.type ?? '') || schema.anyOf
    ? schema.type === 'boolean'
      ? 'perhaps'
      : true
    : null;
}
