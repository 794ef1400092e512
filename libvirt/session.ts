/**
 * From a raw connection to one that is open on a hypervisor: authentication, open, keepalive; and the orderly way back.
 */
import { Connection } from './connection.ts';
import { LibvirtConnectionError } from './error.ts';
import type { KeepAliveOptions } from './keepalive.ts';
import { procedures } from './procedures/table.ts';

export interface SessionOptions {
  /** The daemon's socket, e.g. `/run/libvirt/libvirt-sock`. */
  readonly socketPath: string;
  /** The hypervisor, e.g. `qemu:///system`. */
  readonly uri: string;
  /** For the socket and for each step of opening. */
  readonly connectTimeoutMs: number;
  /** Calls that await an answer at once; keep it below libvirtd's `max_client_requests`. */
  readonly maxInFlight: number;
  /** Null where the reader may stall for long, as with a console. */
  readonly keepAlive: KeepAliveOptions | null;
}

/** virDrvFeature: the daemon answers keepalive messages and may send its own. */
const keepAliveFeature = 11;
const authNone = 0;
const authPolkit = 2;

/** Rejects with LibvirtConnectionError, with CLOSED when `closing` fires, or with LibvirtError when the hypervisor refuses. */
export async function openSession(options: SessionOptions, closing?: AbortSignal): Promise<Connection> {
  const timeout = { timeoutMs: options.connectTimeoutMs };
  const connection = await Connection.dial(options.socketPath, { maxInFlight: options.maxInFlight, ...timeout });
  const close = (): void => connection.end('CLOSED', 'the client was closed');
  closing?.addEventListener('abort', close);
  try {
    if (closing?.aborted === true) close();
    const { types } = await connection.call(procedures.authList, undefined, timeout);
    if (types.length > 0 && !types.includes(authNone)) {
      if (!types.includes(authPolkit)) {
        throw new LibvirtConnectionError('AUTH_UNSUPPORTED', `libvirt offers authentication ${types.join(', ')} only`);
      }
      await connection.call(procedures.authPolkit, undefined, timeout);
    }
    await connection.call(procedures.connectOpen, { uri: options.uri, flags: 0 }, timeout);
    if (options.keepAlive !== null) {
      const { supported } = await connection.call(
        procedures.connectSupportsFeature,
        { feature: keepAliveFeature },
        timeout,
      );
      if (supported) connection.startKeepAlive(options.keepAlive);
    }
    return connection;
  } catch (error) {
    connection.end('CLOSED', 'the connection could not be opened');
    throw error;
  } finally {
    closing?.removeEventListener('abort', close);
  }
}

/** Says good-bye, so that the daemon logs no lost client; open calls reject with CLOSED. */
export async function closeSession(connection: Connection): Promise<void> {
  try {
    await connection.call(procedures.connectClose, undefined, { timeoutMs: 1000 });
  } catch {
    // It is going away either way.
  }
  connection.end('CLOSED', 'the client was closed');
}
