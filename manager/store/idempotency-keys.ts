/** Answers of creates that carried an Idempotency-Key, so that a repeated request gets the first one's answer. */
import { Table } from './table.ts';

export interface IdempotencyKeyRow {
  readonly userId: string;
  readonly key: string;
  readonly operation: string;
  /** Hash of the whole request: the same key with another request is refused. */
  readonly requestHash: string;
  readonly status: number;
  readonly response: unknown;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** Key: user and key. Written in the transaction of the change itself. */
export const idempotencyKeys = new Table<IdempotencyKeyRow>({
  table: 'idempotencyKeys',
  kind: 'idempotency key',
  columns: {
    userId: 'text',
    key: 'text',
    operation: 'text',
    requestHash: 'text',
    status: 'integer',
    response: 'json',
    createdAt: 'integer',
    expiresAt: 'integer',
  },
  key: 'key',
});
