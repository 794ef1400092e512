/**
 * Tables for people: columns from the contract's `cli.columns`, units in the cells, ids shortened as far as they stay
 * different from each other (`--wide` keeps them whole). Control characters are made visible, so that no name or
 * message plays with the terminal.
 */
import { cut, padEnd, widthOf } from './width.ts';

export interface TableOptions {
  readonly wide: boolean;
  /** Columns of the terminal; the last column of the table is cut to fit. */
  readonly width?: number;
  /** Columns whose ids stay whole, because they are what one types (tasks have no name). */
  readonly wholeIds?: readonly string[];
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function renderTable(items: readonly unknown[], columns: readonly string[], options: TableOptions): string {
  const cells = columns.map((column) => {
    const texts = items.map((item) => cellText(column, valueAt(item, column)));
    return options.wide || options.wholeIds?.includes(column) ? texts : shortenIds(texts);
  });
  const headers = columns.map(headerOf);
  const widths = columns.map((_, index) =>
    Math.max(widthOf(headers[index] ?? ''), ...(cells[index] ?? []).map(widthOf)),
  );
  const line = (texts: readonly string[]) => {
    const whole = texts
      .map((text, index) => padEnd(text, widths[index] ?? 0))
      .join('  ')
      .trimEnd();
    return options.wide || options.width === undefined ? whole : cut(whole, options.width);
  };
  const rows = items.map((_, row) => line(cells.map((column) => column[row] ?? '')));
  return [line(headers), ...rows].map((text) => `${text}\n`).join('');
}

/** One object: a line for each value, `path  value`; a list of objects takes a line for each. */
export function renderDetails(item: unknown, wide = true): string {
  const lines: [string, string][] = [];
  const walk = (path: string, value: unknown) => {
    if (Array.isArray(value) && value.some((one) => typeof one === 'object' && one !== null)) {
      value.forEach((one, index) => {
        lines.push([`${path}.${index}`, inline(one)]);
      });
    } else if (isFilled(value)) {
      for (const [key, inner] of Object.entries(value)) walk(path === '' ? key : `${path}.${key}`, inner);
    } else lines.push([path, cellText(path, value)]);
  };
  walk('', item);
  const width = Math.max(0, ...lines.map(([name]) => widthOf(name)));
  return lines.map(([name, text]) => `${padEnd(name, width)}  ${wide ? text : cut(text, 200)}\n`).join('');
}

/** An empty object (no labels) takes a line of its own, as an empty list does. */
function isFilled(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
}

/** `allocated.memoryMib` -> `ALLOCATED MEMORY`, `hostName` -> `HOST`, `createdAt` -> `CREATED`. */
export function headerOf(column: string): string {
  const parts = column.split('.').filter((part) => !/^[0-9]+$/.test(part));
  if (parts.length > 1 && /^(name|message|percent)$/.test(parts.at(-1) ?? '')) parts.pop();
  return parts
    .map((part) => part.replace(/(?<=.)(Mib|Gib|At|Name|Id)$/, '').replace(/[A-Z]/g, (letter) => ` ${letter}`))
    .join(' ')
    .toUpperCase();
}

export function valueAt(item: unknown, path: string): unknown {
  let value = item;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

export function cellText(column: string, value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') {
    if (column.endsWith('Mib')) return `${value} MiB`;
    if (column.endsWith('Gib')) return `${value} GiB`;
    if (column.endsWith('percent')) return `${value} %`;
    return String(value);
  }
  if (typeof value === 'string') {
    if (column.endsWith('At') || column === 'at') return visible(value.replace(/^(\S{10})T(\S{8})\.\d+Z$/, '$1 $2Z'));
    return visible(value);
  }
  if (typeof value === 'object' && Object.keys(value).length === 0) return '-';
  return inline(value);
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return value.map(inline).join(', ');
  if (typeof value !== 'object' || value === null) return cellText('', value);
  return Object.entries(value)
    .map(([key, inner]) => `${key}=${cellText(key, inner)}`)
    .join(' ');
}

function shortenIds(texts: readonly string[]): readonly string[] {
  const ids = new Set(texts.filter((text) => uuid.test(text)));
  for (let length = 8; length < 36; length += 1) {
    if (new Set([...ids].map((id) => id.slice(0, length))).size === ids.size) {
      return texts.map((text) => (uuid.test(text) ? text.slice(0, length) : text));
    }
  }
  return texts;
}

function visible(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) =>
    character === '\n' ? '⏎' : `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  );
}
