/** Opaque page cursors: where the page before ended, bound to its sort so that a cursor cannot be used with another. */
import { invalidField } from '@kvasir/api/errors.ts';

export interface CursorPosition {
  readonly value: string | number;
  readonly key: string | number;
}

export function cursorAfter(sort: string, value: string | number, key: string | number): string {
  return Buffer.from(JSON.stringify([sort, value, key])).toString('base64url');
}

/** Throws `invalid-request` for anything that `cursorAfter` did not make for this sort. */
export function readCursor(cursor: string, sort: string): CursorPosition {
  const parts = parse(cursor);
  if (!Array.isArray(parts) || parts.length !== 3 || parts[0] !== sort || !isKey(parts[1]) || !isKey(parts[2])) {
    throw invalidField('/query/cursor', 'is not a cursor of this list');
  }
  return { value: parts[1], key: parts[2] };
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
}

function isKey(value: unknown): value is string | number {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  return typeof value === 'number' && Number.isFinite(value);
}
