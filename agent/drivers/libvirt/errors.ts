/** libvirt's errors in our words: its own text is kept, since it is what an operator searches for. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { isLibvirtError, LibvirtConnectionError, LibvirtError } from '@kvasir/libvirt/error.ts';

export function isNoDomain(error: unknown): boolean {
  return isLibvirtError(error, 'VIR_ERR_NO_DOMAIN');
}

/** What to throw instead of an error that libvirt gave: `not-found`, `unsupported`, `timeout` or `host-failed`. */
export function translated(error: unknown, vmId: string): unknown {
  if (error instanceof LibvirtError) {
    if (isNoDomain(error))
      return new KvasirError('not-found', { kind: 'domain', id: vmId }, undefined, { cause: error });
    if (
      isLibvirtError(
        error,
        'VIR_ERR_AGENT_UNRESPONSIVE',
        'VIR_ERR_AGENT_COMMAND_TIMEOUT',
        'VIR_ERR_ARGUMENT_UNSUPPORTED',
      )
    ) {
      return new KvasirError('unsupported', { reason: error.message }, undefined, { cause: error });
    }
    return new KvasirError('host-failed', { reason: error.message }, undefined, { cause: error });
  }
  if (error instanceof LibvirtConnectionError) {
    return new KvasirError('host-failed', { reason: `libvirt: ${error.message}` }, undefined, { cause: error });
  }
  return error;
}

/** Runs a call for one VM with its errors translated. */
export async function translating<T>(vmId: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw translated(error, vmId);
  }
}
