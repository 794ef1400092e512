/** What is told of many measured times: how many, the middle, the tail and the ends, in milliseconds. */

export interface Summary {
  readonly count: number;
  readonly minMs: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Of no times: zeros, with count 0. The p99 of fewer than a hundred times is their maximum. */
export function summarize(timesMs: readonly number[]): Summary {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => tenths(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
  return { count: sorted.length, minMs: at(0), medianMs: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

export function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
