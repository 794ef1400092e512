/** The form of text messages on the agent link: JSON-RPC 2.0, one object a message (no batches), ids are integers. */
import { type ErrorDetails, errorFromWire, type FieldError, KvasirError } from '../../errors.ts';

export interface WireError {
  readonly code: number;
  readonly message: string;
  /** Kvasir's own error, when it is one. */
  readonly data?: { readonly code: string; readonly details: ErrorDetails; readonly fields?: readonly FieldError[] };
}

export type Message =
  | { readonly form: 'request'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly form: 'notification'; readonly method: string; readonly params: unknown }
  | { readonly form: 'result'; readonly id: number; readonly result: unknown }
  | { readonly form: 'error'; readonly id: number; readonly error: KvasirError };

/** Answers what is wrong, in words, for a text that is no message. */
export function parseMessage(text: string): Message | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'a message that is not JSON';
  }
  if (!isRecord(value) || value['jsonrpc'] !== '2.0') return 'a message that is not JSON-RPC 2.0';
  const { id, method, params, result, error } = value;
  if (typeof method === 'string') {
    if (id === undefined) return { form: 'notification', method, params };
    return isId(id) ? { form: 'request', id, method, params } : 'a request whose id is no integer';
  }
  if (!isId(id)) return 'an answer without an id';
  if (error !== undefined)
    return isRecord(error) ? { form: 'error', id, error: readError(error) } : 'a malformed error';
  return 'result' in value ? { form: 'result', id, result } : 'an answer without a result';
}

export function requestText(id: number, method: string, params: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params });
}

export function notificationText(method: string, params: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params });
}

export function resultText(id: number, result: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result: result ?? null });
}

const kvasirErrorCode = -32_000;
const internalErrorCode = -32_603;

/** Errors that are not Kvasir's own keep their message: both ends are ours, and the reader turns them into `host-failed`. */
export function errorText(id: number, error: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: writeError(error) });
}

function writeError(error: unknown): WireError {
  if (error instanceof KvasirError) {
    const { code, details, fields, message } = error;
    return { code: kvasirErrorCode, message, data: { code, details, ...(fields ? { fields } : {}) } };
  }
  return { code: internalErrorCode, message: error instanceof Error ? error.message : String(error) };
}

function readError(error: Record<string, unknown>): KvasirError {
  const message = typeof error['message'] === 'string' ? error['message'] : 'unknown error';
  const data = isRecord(error['data']) ? error['data'] : {};
  const code = typeof data['code'] === 'string' ? data['code'] : undefined;
  return errorFromWire({ message, details: readDetails(data['details']), ...(code === undefined ? {} : { code }) });
}

function readDetails(details: unknown): ErrorDetails {
  if (!isRecord(details)) return {};
  return Object.fromEntries(
    Object.entries(details).filter(
      (entry): entry is [string, string | number] => typeof entry[1] === 'string' || typeof entry[1] === 'number',
    ),
  );
}

function isId(id: unknown): id is number {
  return Number.isSafeInteger(id);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
