/**
 * Cuts lists that many hosts have in common into documents, so that a change of one item makes one document new.
 *
 * A document ends at an item whose key's hash says so, whatever stands before or after it: an item that comes or goes changes
 * its own document alone, and items that come together at the end of the list, as those of a burst do, share theirs.
 */

/** The list in pieces of about `size` items each. */
export function pieces<T>(items: readonly T[], size: number, key: (item: T) => string): T[][] {
  const all: T[][] = [];
  let piece: T[] = [];
  for (const item of items) {
    piece.push(item);
    if (hashOf(key(item)) % size !== 0) continue;
    all.push(piece);
    piece = [];
  }
  return piece.length === 0 ? all : [...all, piece];
}

/** FNV-1a, mixed at the end, so that neighbouring addresses differ in the low bits too. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
