/** What must never be, and was. */

export type ViolationKind =
  /** A VM ran on two hosts. */
  | 'runs-twice'
  /** A proof says that a host is dead, and VMs of the boot that it is about run. */
  | 'false-proof'
  /** A VM was to be restarted without any proof about the host where it was. */
  | 'restart-without-proof'
  /** The power of a host was cut, or its watchdog fired, although nothing was wrong with it. */
  | 'healthy-host-fenced'
  /** A host was switched off to save power with VMs on it, or one that sleeps is taken for lost or has VMs. */
  | 'standby'
  /** Two hosts translated for one router, so that both answered for its addresses. */
  | 'two-gateways'
  /** Two managers hold themselves for the leader at the same moment. */
  | 'two-leaders'
  /** A VM that should run did not come back in time. */
  | 'not-running'
  /** Everything was mended, and it did not become quiet. */
  | 'not-quiet'
  /** Product code failed in a way that it has no name for. */
  | 'internal-error';

export interface Violation {
  readonly kind: ViolationKind;
  readonly atMs: number;
  readonly what: string;
}
