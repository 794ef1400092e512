/**
 * Requests that were refused because no host had room, for power saving to wake one. In memory only: who asks again asks anew. A
 * request says so as soon as it is refused, for its transaction leaves nothing behind.
 */
import type { PlacementRequest } from '@kvasir/control/placement/world.ts';

export interface CapacityWish {
  readonly name: string;
  readonly request: PlacementRequest;
}

/** More at once wake no more hosts than these. */
const most = 100;

export class CapacityWishes {
  readonly #wishes = new Map<string, Map<string, CapacityWish>>();

  /** `request` without a choice of hosts but the one that was asked for by name. */
  note(clusterId: string, wish: CapacityWish): void {
    const known = this.#wishes.get(clusterId) ?? new Map<string, CapacityWish>();
    this.#wishes.set(clusterId, known);
    // The same request again is the same wish.
    if (known.size < most) known.set(wish.name, wish);
  }

  /** Those since the last call. */
  take(clusterId: string): readonly CapacityWish[] {
    const wishes = [...(this.#wishes.get(clusterId)?.values() ?? [])];
    this.#wishes.delete(clusterId);
    return wishes;
  }
}
