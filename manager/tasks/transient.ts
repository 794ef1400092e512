/** Errors after which it is unknown whether a call took effect, and after which it is worth repeating under its key. */
const transient: readonly string[] = ['host-unreachable', 'hypervisor-silent', 'timeout'];

export function isTransient(code: string): boolean {
  return transient.includes(code);
}

/** What is worth a try when the host, or the pool that it lacks (`poolId` in the details), is back; trying soon again gains nothing. */
export function mayPass(code: string): boolean {
  return isTransient(code) || code === 'pool-unreachable';
}

/** Another manager leads: whatever this one was doing, it stops without writing. */
export function isDeposed(code: string): boolean {
  return code === 'stale-epoch' || code === 'not-leader';
}
