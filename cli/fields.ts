/**
 * What the command line makes of an operation's schemas: one `Field` for each value that a person can give. Pure; the
 * only place that knows how names of the contract become names of options.
 *
 * Rules: path parameters are positional, then `cli.positional`; every other field is an option in kebab case. Nested
 * objects are flattened (`cloudInit.userData` -> `--cloud-init-user-data`). Sizes lose their unit (`memoryMib` ->
 * `--memory 128MiB`) and keep the long form as a hidden alias. A password is never an argument.
 */
import type { Operation } from '@kvasir/api/operation.ts';

/** The parts of JSON Schema that the contract uses. */
export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
}

export type FieldKind =
  | 'text'
  | 'word'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'mib'
  | 'gib'
  | 'secret'
  | 'record'
  | 'words'
  | 'lines'
  | 'objects'
  | 'json';

export interface Field {
  readonly part: 'params' | 'query' | 'body';
  /** Keys from the part down to the value. */
  readonly path: readonly string[];
  readonly kind: FieldKind;
  readonly schema: Schema;
  /** Without the dashes. */
  readonly flag: string;
  /** Other spellings, not shown in the help. */
  readonly aliases: readonly string[];
  readonly required: boolean;
  readonly nullable: boolean;
}

export interface OperationFields {
  readonly positional: readonly Field[];
  readonly options: readonly Field[];
}

export function fieldsOf(operation: Operation): OperationFields {
  const positional = Object.entries(properties(operation.params)).map(([key, schema]) =>
    makeField('params', [key], schema, true),
  );
  const options: Field[] = [];
  const collect = (part: 'query' | 'body', schema: Schema | undefined, prefix: readonly string[], needed: boolean) => {
    for (const [key, value] of Object.entries(schema?.properties ?? {})) {
      const required = needed && (schema?.required ?? []).includes(key);
      const path = [...prefix, key];
      if (value.type === 'object' && value.properties) collect(part, value, path, required);
      else if (prefix.length === 0 && key === operation.cli.positional) {
        const field = makeField(part, path, value, required);
        positional.push(field);
        // Where it may be left out, the option reads better in scripts: `vm migrate web --host h2`.
        if (!required) options.push(field);
      } else options.push(makeField(part, path, value, required));
    }
  };
  collect('body', operation.body, [], true);
  collect('query', operation.query, [], true);
  return { positional, options };
}

/** The field of an object inside an array, as `--nics network=default,model=virtio` names it. */
export function itemFields(schema: Schema): readonly Field[] {
  return Object.entries(schema.properties ?? {}).map(([key, value]) =>
    makeField('body', [key], value, (schema.required ?? []).includes(key)),
  );
}

export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Whether the secret is chosen now, rather than one that there is. Only then are there rules for it: one that there is already is
 * taken as it is.
 */
export function isChosen(field: Field): boolean {
  return field.kind === 'secret' && (field.schema.minLength ?? 1) > 1;
}

/** Words that the schema allows, or undefined when it is open. */
export function choicesOf(field: Field): readonly string[] | undefined {
  return field.schema.enum ?? field.schema.items?.enum;
}

function makeField(part: Field['part'], path: readonly string[], given: Schema, required: boolean): Field {
  const alternatives = given.anyOf?.filter((one) => one.type !== 'null');
  const nullable = alternatives !== undefined && alternatives.length < (given.anyOf?.length ?? 0);
  const only = alternatives?.length === 1 ? alternatives[0] : undefined;
  const schema: Schema = only ? { description: given.description, ...only } : given;
  const kind = kindOf(path.at(-1) ?? '', schema);
  const long = path.map(kebab).join('-');
  const flag = shortFlag(long, kind);
  return { part, path, kind, schema, flag, aliases: flag === long ? [] : [long], required, nullable };
}

function kindOf(key: string, schema: Schema): FieldKind {
  if (schema.type === 'boolean') return 'boolean';
  if (schema.type === 'integer' || schema.type === 'number') {
    if (key.endsWith('Mib')) return 'mib';
    if (key.endsWith('Gib')) return 'gib';
    return schema.type;
  }
  if (schema.type === 'string') {
    if (/password$/i.test(key)) return 'secret';
    return schema.enum || schema.pattern ? 'word' : 'text';
  }
  if (schema.type === 'object' && schema.patternProperties) return 'record';
  if (schema.type === 'array' && schema.items?.type === 'object') return 'objects';
  if (schema.type === 'array' && schema.items?.type === 'string') {
    return schema.items.enum || isName(schema.items) ? 'words' : 'lines';
  }
  return 'json';
}

/** No comma can be in it, so a list may be written with commas. */
function isName(schema: Schema): boolean {
  return schema.pattern !== undefined && !new RegExp(schema.pattern).test('a,b') && !schema.pattern.includes('[^');
}

function shortFlag(long: string, kind: FieldKind): string {
  if (kind === 'mib' || kind === 'gib') return long.replace(/-(mib|gib)$/, '');
  if (kind === 'record') return long.replace(/s$/, '');
  if (kind === 'secret') return `${long}-file`;
  return long;
}

function properties(schema: unknown): Readonly<Record<string, Schema>> {
  return (schema as Schema).properties ?? {};
}
