/** What every resource row has, and how one is made. Times are UTC milliseconds. */
export interface Versioned {
  readonly id: string;
  readonly revision: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export const versioned = { id: 'text', revision: 'integer', createdAt: 'integer', updatedAt: 'integer' } as const;

/** The first revision of a new row. */
export function firstRevision(id: string, now: number): Versioned {
  return { id, revision: 1, createdAt: now, updatedAt: now };
}
