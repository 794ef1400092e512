/**
 * Creates that carry an `Idempotency-Key`: the answer is kept a day, in the transaction of the change itself, so that a
 * client that lost the answer (or the manager) in the middle may ask again and never makes a thing twice.
 */
import { createHash } from 'node:crypto';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Tx } from '../store/database.ts';
import { idempotencyKeys } from '../store/idempotency-keys.ts';

const keptMs = 86_400_000;

export interface IdempotentRequest {
  readonly userId: string;
  readonly key: string;
  readonly operation: string;
  readonly requestHash: string;
  readonly now: number;
}

/** Hash over everything that was asked; passwords are left out, they must not be guessable from a fast hash. */
export function hashRequest(operation: string, request: object): string {
  const text = JSON.stringify([operation, request], (key, value: unknown) => {
    if (key === 'password') return undefined;
    return isRecord(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
  });
  return createHash('sha256').update(text).digest('hex');
}

/** What this request was answered before; undefined when it is new. @throws idempotency-mismatch */
export async function recallAnswer(
  tx: Tx,
  request: IdempotentRequest,
): Promise<{ readonly answer: unknown } | undefined> {
  const { userId, key } = request;
  const row = await idempotencyKeys.find(tx, { userId, key });
  if (!row) return undefined;
  if (row.expiresAt <= request.now) {
    await idempotencyKeys.remove(tx, { userId, key });
    return undefined;
  }
  if (row.operation !== request.operation || row.requestHash !== request.requestHash) {
    throw new KvasirError('idempotency-mismatch');
  }
  return { answer: row.response };
}

export async function rememberAnswer(
  tx: Tx,
  request: IdempotentRequest,
  response: unknown,
  status: number,
): Promise<void> {
  const { now, ...row } = request;
  await idempotencyKeys.insert(tx, { ...row, status, response, createdAt: now, expiresAt: now + keptMs });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
