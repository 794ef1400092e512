/** Reads the headers that the contract knows: the bearer token, `If-Match`, `Idempotency-Key`. */
import { invalidField } from '@kvasir/api/errors.ts';
import type { IncomingHttpHeaders } from 'node:http';

/** The bearer token; undefined without one (or with another scheme). */
export function bearerToken(headers: IncomingHttpHeaders): string | undefined {
  return /^Bearer ([A-Za-z0-9_-]{1,256})$/i.exec(headers.authorization ?? '')?.[1];
}

/** The revision that the change is bound to; undefined for none and for `*`. @throws invalid-request */
export function ifMatchRevision(headers: IncomingHttpHeaders): number | undefined {
  const value = headers['if-match'];
  if (value === undefined || value === '*') return undefined;
  const revision = /^(?:W\/)?"(\d{1,15})"$/.exec(value)?.[1];
  if (revision === undefined) throw invalidField('/headers/if-match', 'must be an ETag that was read, such as "3"');
  return Number(revision);
}

export function etag(revision: number): string {
  return `"${revision}"`;
}

/** @throws invalid-request */
export function idempotencyKey(headers: IncomingHttpHeaders): string | undefined {
  const value = headers['idempotency-key'];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(value)) {
    throw invalidField('/headers/idempotency-key', 'must be 1 to 128 visible ASCII characters');
  }
  return value;
}
