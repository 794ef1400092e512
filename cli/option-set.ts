/** Fields -> commander's options and arguments, and what commander found -> a request. */
import { Argument, type Command, Option } from 'commander';
import { choicesOf, type Field, isChosen, type OperationFields } from './fields.ts';
import { UsageError } from './usage-error.ts';
import { parseValue, type ValueSource, secretLabel } from './values.ts';

/** Options of every command; `--project` only where the request names a project. */
export function addGlobalOptions(command: Command, withProject: boolean): void {
  command.addOption(new Option('-o, --output <format>', 'how results are printed').choices(['table', 'json', 'yaml']));
  command.option('--wide', 'whole ids, no cut lines in tables');
  if (withProject) command.option('--project <name>', 'project to work in (default: the one of the profile)');
  command.option('--profile <name>', 'profile to use (default: the current one)');
  command.option('--url <address>', 'manager to talk to (default: $KVASIR_URL, then the profile)');
}

export function addFields(command: Command, fields: OperationFields): void {
  for (const field of fields.positional) command.addArgument(makeArgument(field));
  for (const field of fields.options) {
    if (isProject(field)) continue;
    for (const option of makeOptions(field)) command.addOption(option);
  }
}

/** `--project` is one of the global options, with a default in the profile. */
export function isProject(field: Field): boolean {
  return field.part === 'query' && field.flag === 'project';
}

export interface ParsedRequest {
  readonly params: Record<string, unknown>;
  readonly query: Record<string, unknown>;
  readonly body: Record<string, unknown>;
}

export async function buildRequest(
  fields: OperationFields,
  positional: readonly (string | undefined)[],
  options: Readonly<Record<string, unknown>>,
  source: ValueSource,
): Promise<ParsedRequest> {
  const request: ParsedRequest = { params: {}, query: {}, body: {} };
  for (const [index, field] of fields.positional.entries()) {
    const word = positional[index];
    if (word !== undefined) place(request, field, await parseValue(field, [word], source));
  }
  for (const field of fields.options) {
    if (isProject(field)) continue;
    const given = readOption(field, options);
    if (given === undefined) {
      if (field.kind === 'secret' && field.required) {
        place(request, field, await source.readSecret(secretLabel(field), undefined, isChosen(field)));
      } else if (field.required)
        throw new UsageError(`required option '--${field.flag} <${placeholder(field)}>' not specified`);
      continue;
    }
    if (fields.positional.includes(field) && at(request, field) !== undefined) {
      throw new UsageError(`--${field.flag} was given twice: also as an argument`);
    }
    place(request, field, await parseValue(field, given, source));
  }
  return request;
}

/** Boolean, or the words given; a repeated option gives several. */
function readOption(field: Field, options: Readonly<Record<string, unknown>>): readonly string[] | boolean | undefined {
  for (const flag of [field.flag, ...field.aliases]) {
    const value = options[attributeName(flag)];
    if (typeof value === 'boolean') return value;
    if (Array.isArray(value)) return value as readonly string[];
  }
  return undefined;
}

function makeArgument(field: Field): Argument {
  const name = field.path.at(-1) ?? '';
  const argument = new Argument(field.required ? `<${name}>` : `[${name}]`, describe(field));
  return argument;
}

function makeOptions(field: Field): Option[] {
  if (field.kind === 'boolean') {
    return [new Option(`--${field.flag}`, describe(field)), new Option(`--no-${field.flag}`).hideHelp()];
  }
  const collect = (word: string, before: readonly string[] | undefined) => [...(before ?? []), word];
  const make = (flag: string) => new Option(`--${flag} <${placeholder(field)}>`, describe(field)).argParser(collect);
  return [make(field.flag), ...field.aliases.map((flag) => make(flag).hideHelp())];
}

function placeholder(field: Field): string {
  switch (field.kind) {
    case 'mib':
    case 'gib':
      return 'size';
    case 'secret':
      return 'file';
    case 'record':
      return 'key=value';
    case 'objects':
      return 'key=value,…';
    case 'words':
    case 'lines':
      return 'list';
    case 'integer':
    case 'number':
      return 'number';
    default:
      return field.schema.enum ? 'word' : (field.path.at(-1) ?? 'text');
  }
}

function describe(field: Field): string {
  const notes = [field.schema.description];
  const choices = choicesOf(field);
  if (choices) notes.push(choices.join(', '));
  if (field.kind === 'mib') notes.push('e.g. 128MiB, 2GiB');
  if (field.kind === 'gib') notes.push('e.g. 10GiB');
  if (field.kind === 'text') notes.push('@file reads a file, - stdin');
  if (field.kind === 'lines') notes.push('may be repeated; @file reads its lines');
  if (field.kind === 'record') notes.push("may be repeated; '' for none");
  if (field.kind === 'objects') notes.push('may be repeated');
  if (field.kind === 'secret') notes.push('file that holds it, - for stdin; never given on the command line');
  if (field.kind === 'boolean' && field.part === 'body') notes.push(`--no-${field.flag}: not`);
  if (field.nullable) notes.push('none: no value');
  if (field.required && field.kind !== 'secret' && field.part === 'body') notes.push('required');
  return notes.filter((note) => note !== undefined && note !== '').join('; ');
}

function place(request: ParsedRequest, field: Field, value: unknown): void {
  let target: Record<string, unknown> = request[field.part];
  for (const key of field.path.slice(0, -1)) {
    target[key] ??= {};
    target = target[key] as Record<string, unknown>;
  }
  target[field.path.at(-1) ?? ''] = value;
}

function at(request: ParsedRequest, field: Field): unknown {
  return request[field.part][field.path[0] ?? ''];
}

/** As commander names it: camelCase of the flag. */
function attributeName(flag: string): string {
  return flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
