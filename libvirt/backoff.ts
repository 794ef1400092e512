/** Growing, jittered waits between attempts to connect, so that many clients do not come back in step. */
export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
}

/** The wait before attempt `attempt` (0 = the first retry): between half of the step and the step. */
export function backoffMs(attempt: number, { minMs, maxMs }: BackoffOptions, random: () => number): number {
  const step = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return Math.round(step * (0.5 + random() / 2));
}
