/** The inverse of parsing: the words that a person types to send this request. */
import type { Operation } from '@kvasir/api/operation.ts';
import { commandName } from '../operation-command.ts';
import { type Field, fieldsOf, kebab } from '../fields.ts';

export interface SampleRequest {
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body?: Readonly<Record<string, unknown>>;
}

export function commandLine(operation: Operation, request: SampleRequest): { words: string[]; stdin: string } {
  const fields = fieldsOf(operation);
  const words = [kebab(operation.resource), commandName(operation)];
  let stdin = '';
  const positional = new Set<Field>();
  for (const field of fields.positional) {
    const value = valueOf(request, field);
    if (value === undefined) continue;
    positional.add(field);
    words.push(...wordsOf(field, value));
  }
  for (const field of fields.options) {
    const value = valueOf(request, field);
    if (value === undefined || positional.has(field)) continue;
    if (field.kind === 'boolean') words.push(value === true ? `--${field.flag}` : `--no-${field.flag}`);
    else if (field.kind === 'secret') {
      stdin += `${String(value)}\n`;
      words.push(`--${field.flag}=-`);
    } else words.push(...wordsOf(field, value).map((word) => `--${field.flag}=${word}`));
  }
  return { words, stdin };
}

function wordsOf(field: Field, value: unknown): string[] {
  if (value === null) return ['none'];
  switch (field.kind) {
    case 'text':
      return [String(value).replace(/^@/, '@@')];
    case 'words':
      return [(value as string[]).join(',')];
    case 'lines': {
      const lines = value as string[];
      return lines.length === 0 ? [''] : lines.map((line) => line.replace(/^@/, '@@'));
    }
    case 'record': {
      const entries = Object.entries(value as Record<string, string>);
      return entries.length === 0 ? [''] : entries.map(([key, text]) => `${key}=${text}`);
    }
    case 'objects': {
      const objects = value as Record<string, unknown>[];
      return objects.length === 0 ? [''] : objects.map(objectWord);
    }
    case 'mib':
      return [Number(value) % 1024 === 0 ? `${Number(value) / 1024}GiB` : `${String(value)}MiB`];
    default:
      return [String(value)];
  }
}

/** Both spellings of an object are used: short where it can be. */
function objectWord(object: Record<string, unknown>): string {
  const entries = Object.entries(object);
  if (entries.length === 0 || entries.length % 2 === 0) return JSON.stringify(object);
  return entries.map(([key, value]) => `${key}=${within(value)}`).join(',');
}

function within(value: unknown): string {
  if (value === null) return 'none';
  return Array.isArray(value) ? value.join('+') : String(value);
}

function valueOf(request: SampleRequest, field: Field): unknown {
  let value: unknown = request[field.part];
  for (const key of field.path) value = (value as Record<string, unknown> | undefined)?.[key];
  return value;
}
