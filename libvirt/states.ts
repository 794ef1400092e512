/**
 * Names for the numbers of a domain's state. Each list is in libvirt's order, so a name's place is its number; a number
 * from a newer daemon that is not here reads as 'unknown'.
 */

export const domainStates = [
  'nostate',
  'running',
  'blocked',
  'paused',
  'shutdown',
  'shutoff',
  'crashed',
  'pmsuspended',
] as const;

/** `shutdown` = being shut down, `shutoff` = not running, `nostate`/`blocked` do not occur with QEMU. */
export type DomainState = (typeof domainStates)[number] | 'unknown';

const reasons: Readonly<Record<(typeof domainStates)[number], readonly string[]>> = {
  nostate: ['unknown'],
  running: [
    'unknown',
    'booted',
    'migrated',
    'restored',
    'from-snapshot',
    'unpaused',
    'migration-canceled',
    'save-canceled',
    'wakeup',
    'crashed',
    'postcopy',
    'postcopy-failed',
  ],
  blocked: ['unknown'],
  paused: [
    'unknown',
    'user',
    'migration',
    'save',
    'dump',
    'ioerror',
    'watchdog',
    'from-snapshot',
    'shutting-down',
    'snapshot',
    'crashed',
    'starting-up',
    'postcopy',
    'postcopy-failed',
    'api-error',
  ],
  shutdown: ['unknown', 'user'],
  shutoff: ['unknown', 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot', 'daemon'],
  crashed: ['unknown', 'panicked'],
  pmsuspended: ['unknown'],
};

export interface StateAndReason {
  readonly state: DomainState;
  /** Why, in libvirt's words, e.g. paused: 'user', 'migration', 'ioerror'; shutoff: 'destroyed', 'crashed'. */
  readonly reason: string;
}

export function domainState(code: number): DomainState {
  return domainStates[code] ?? 'unknown';
}

export function stateAndReason(stateCode: number, reasonCode: number): StateAndReason {
  const state = domainState(stateCode);
  return { state, reason: state === 'unknown' ? 'unknown' : (reasons[state][reasonCode] ?? 'unknown') };
}

export const jobTypes = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled'] as const;
export type JobTypeName = (typeof jobTypes)[number] | 'unknown';

export const blockJobTypes = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'] as const;
export type BlockJobTypeName = (typeof blockJobTypes)[number];

/** The name at a number's place. */
export function nameAt<T extends string>(names: readonly T[], code: number): T | 'unknown' {
  return names[code] ?? 'unknown';
}
