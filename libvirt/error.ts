/**
 * The two ways in which a call fails. LibvirtError: the daemon answered with an error, so it did receive the call.
 * LibvirtConnectionError: no answer came. There `sent` tells whether the daemon may have carried the call out; with
 * `sent: true` the caller must look at the domain before it tries again.
 */
import { type ErrorSymbol, errorSymbol } from './error-codes.ts';
import type { WireError } from './wire-types.ts';

export class LibvirtError extends Error {
  override readonly name = 'LibvirtError';
  /** libvirt's error number (virErrorNumber). */
  readonly code: number;
  /** The number's name, e.g. `VIR_ERR_NO_DOMAIN`. */
  readonly symbol: ErrorSymbol | `VIR_ERR_${number}`;
  /** The part of libvirt that raised it (virErrorDomain). */
  readonly domain: number;
  readonly details: readonly string[];

  constructor(error: Pick<WireError, 'code' | 'domain' | 'message'> & Partial<WireError>) {
    super(error.message ?? `libvirt error ${error.code}`);
    this.code = error.code;
    this.symbol = errorSymbol(error.code);
    this.domain = error.domain;
    this.details = [error.str1, error.str2, error.str3].filter((text) => typeof text === 'string');
  }
}

/** True for a LibvirtError of one of the given kinds; without kinds, for any. */
export function isLibvirtError<Kind extends LibvirtError['symbol'] = LibvirtError['symbol']>(
  error: unknown,
  ...kinds: readonly Kind[]
): error is LibvirtError & { readonly symbol: Kind } {
  return error instanceof LibvirtError && (kinds.length === 0 || kinds.some((kind) => kind === error.symbol));
}

/**
 * - `CONNECT_FAILED`: no connection could be made.
 * - `NOT_CONNECTED`: the client has none right now and tries again by itself.
 * - `AUTH_UNSUPPORTED`: the daemon wants an authentication other than none or polkit.
 * - `CONNECTION_LOST`: the daemon closed the connection or died.
 * - `KEEPALIVE_TIMEOUT`: the daemon stopped answering.
 * - `PROTOCOL`: one side sent what the other cannot read; the connection is closed.
 * - `INVALID_CALL`: the arguments do not fit their types or are too large; nothing was sent.
 * - `TIMEOUT`: the caller's time ran out; the call may still be carried out.
 * - `STREAM_ABORTED`: the stream was ended before its time.
 * - `CLOSED`: this client was closed.
 */
export type ConnectionErrorCode =
  | 'CONNECT_FAILED'
  | 'NOT_CONNECTED'
  | 'AUTH_UNSUPPORTED'
  | 'CONNECTION_LOST'
  | 'KEEPALIVE_TIMEOUT'
  | 'PROTOCOL'
  | 'INVALID_CALL'
  | 'TIMEOUT'
  | 'STREAM_ABORTED'
  | 'CLOSED';

export class LibvirtConnectionError extends Error {
  override readonly name = 'LibvirtConnectionError';
  readonly code: ConnectionErrorCode;
  /** Whether the daemon may have received the call. */
  readonly sent: boolean;

  constructor(code: ConnectionErrorCode, message: string, options: { sent?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.sent = options.sent ?? false;
  }

  /** The same failure as seen by one call. */
  forCall(sent: boolean): LibvirtConnectionError {
    return sent === this.sent ? this : new LibvirtConnectionError(this.code, this.message, { sent, cause: this.cause });
  }
}
