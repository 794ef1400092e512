/**
 * Words of the command line -> values of a request. Only what parsing needs is checked here (a number is a number); what
 * a field allows, the server says.
 */
import { readFile } from 'node:fs/promises';
import { type Field, isChosen, itemFields } from './fields.ts';
import { UsageError } from './usage-error.ts';

export interface ValueSource {
  /** Everything that stands on stdin; it can be read once. */
  readStdin(): Promise<string>;
  /** A secret: from the file, `-` for stdin, or asked for when undefined; twice when it is `chosen` now. */
  readSecret(label: string, file: string | undefined, chosen: boolean): Promise<string>;
}

/** `--new-password-file` asks for the `new-password`. */
export function secretLabel(field: Field): string {
  return field.flag.replace(/-file$/, '');
}

/** `given` is what the parser found: one word, several (a repeated option), or a boolean. */
export async function parseValue(
  field: Field,
  given: readonly string[] | boolean,
  source: ValueSource,
): Promise<unknown> {
  const name = field.part === 'params' ? field.path.join('.') : `--${field.flag}`;
  if (typeof given === 'boolean') return given;
  const last = given.at(-1) ?? '';
  if (field.nullable && /^(none|null|unlimited)$/.test(last)) return null;
  switch (field.kind) {
    case 'text':
      return readText(last, source);
    case 'secret':
      return source.readSecret(secretLabel(field), last, isChosen(field));
    case 'lines':
      return (await Promise.all(given.map((one) => readLines(one, source)))).flat();
    case 'words':
      return given.flatMap((one) => one.split(',')).filter((one) => one !== '');
    case 'record':
      return Object.fromEntries(parsePairs(name, given));
    case 'objects':
      return (await Promise.all(given.map((one) => parseObjects(name, field, one, source)))).flat();
    case 'json':
      return parseJson(name, await readText(last, source));
    default:
      return parseScalar(name, field, last);
  }
}

function parseScalar(name: string, field: Field, text: string): string | number | boolean {
  switch (field.kind) {
    case 'mib':
    case 'gib':
      return parseSize(name, text, field.kind, field.schema.type === 'integer');
    case 'integer':
    case 'number':
      return parseNumber(name, text, field.kind === 'integer');
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true';
      throw new UsageError(`${name}: "${text}" is neither true nor false`);
    default:
      return text;
  }
}

function parseNumber(name: string, text: string, whole: boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`${name}: "${text}" is not a number`);
  if (whole && !Number.isSafeInteger(value)) throw new UsageError(`${name}: "${text}" is not a whole number`);
  return value;
}

const mibOf: Readonly<Record<string, number>> = {
  k: 1 / 1024,
  kib: 1 / 1024,
  m: 1,
  mib: 1,
  g: 1024,
  gib: 1024,
  t: 1024 * 1024,
  tib: 1024 * 1024,
};

/** `128MiB`, `1GiB`, `1.5GiB`, `128` (in the field's own unit). MB and GB are refused: they mean different things to different people. */
export function parseSize(name: string, text: string, unit: 'mib' | 'gib', whole: boolean): number {
  const match = /^\s*([+-]?[0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*$/.exec(text);
  const amount = Number(match?.[1]);
  const given = match?.[2]?.toLowerCase() ?? '';
  if (!match || !Number.isFinite(amount))
    throw new UsageError(`${name}: "${text}" is not a size such as 128MiB or 10GiB`);
  const factor = given === '' ? mibOf[unit] : mibOf[given];
  if (factor === undefined) throw new UsageError(`${name}: the unit "${match[2]}" is not known; write MiB, GiB or TiB`);
  const value = (amount * factor) / (mibOf[unit] ?? 1);
  if (whole && !Number.isInteger(value)) {
    throw new UsageError(`${name}: "${text}" is not a whole number of ${unit === 'mib' ? 'MiB' : 'GiB'}`);
  }
  return value;
}

function parsePairs(name: string, given: readonly string[]): (readonly [string, string])[] {
  return given
    .filter((one) => one !== '')
    .map((one) => {
      const equals = one.indexOf('=');
      if (equals < 1) throw new UsageError(`${name}: "${one}" is not written as key=value`);
      return [one.slice(0, equals), one.slice(equals + 1)] as const;
    });
}

/** Commas part the fields of an object, so a list in it is written with `+`. */
function parseWithin(name: string, field: Field, text: string): unknown {
  if (field.nullable && text === 'none') return null;
  if (field.kind === 'words' || field.kind === 'lines') return text.split('+').filter((one) => one !== '');
  return parseScalar(name, field, text);
}

async function parseObjects(name: string, field: Field, given: string, source: ValueSource): Promise<unknown[]> {
  if (given === '') return [];
  const text = given.startsWith('@') || given === '-' ? await readText(given, source) : given;
  if (/^\s*[[{]/.test(text)) {
    const value = parseJson(name, text);
    return Array.isArray(value) ? value : [value];
  }
  const fields = itemFields(field.schema.items ?? {});
  const object: Record<string, unknown> = {};
  for (const [key, value] of parsePairs(name, text.split(','))) {
    const known = fields.find((one) => one.path[0] === key || one.flag === key || one.aliases.includes(key));
    if (!known) {
      throw new UsageError(`${name}: there is no "${key}"; there are ${fields.map((one) => one.flag).join(', ')}`);
    }
    if ((known.path[0] ?? '') in object) {
      throw new UsageError(`${name}: "${key}" stands there twice; give ${name} once more for each further one`);
    }
    object[known.path[0] ?? ''] = parseWithin(`${name} ${key}`, known, value);
  }
  return [object];
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`${name}: is not valid JSON: ${(error as Error).message}`);
  }
}

/** `@file` reads the file, `-` reads stdin, `@@x` is the text `@x`. */
async function readText(given: string, source: ValueSource): Promise<string> {
  if (given === '-') return source.readStdin();
  if (given.startsWith('@@')) return given.slice(1);
  if (given.startsWith('@')) return readFileText(given.slice(1));
  return given;
}

async function readLines(given: string, source: ValueSource): Promise<string[]> {
  if (given === '') return [];
  if (given !== '-' && (!given.startsWith('@') || given.startsWith('@@'))) return [await readText(given, source)];
  const text = await readText(given, source);
  return text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
}

export async function readFileText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new UsageError(
      `cannot read ${path}: ${code === 'ENOENT' ? 'there is no such file' : (error as Error).message}`,
    );
  }
}
