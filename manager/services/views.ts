/** How stored values look in the API: times as ISO 8601, and the fields that every resource has. */
import type { Versioned } from '../store/versioned.ts';

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms);
}

export function versionedView(row: Versioned) {
  return { id: row.id, revision: row.revision, createdAt: iso(row.createdAt), updatedAt: iso(row.updatedAt) };
}
