/**
 * The small numbers that this host's flows speak of: OpenFlow ports of the interfaces, and the compiler's own (zones, networks,
 * profiles). Kept on disk before they are used, so that a restart changes no flow. A freed port number comes back only after
 * all others, so that a flow that still names it does not meet its next owner. A freed zone comes back when it was flushed, whatever
 * happens between.
 */
import { allocateNumbers, noNumbers, type Numbers, releasedZones } from '@kvasir/ovs/compile/numbers.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { readKeptFile, writeKeptFile } from '@kvasir/api/kept-file.ts';

/** OpenFlow ports end below 0xff00. Below the first are the numbers that Open vSwitch gives by itself. */
const first = 1000;
const last = 60_000;

interface Kept {
  readonly nextPort: number;
  readonly ports: Readonly<Record<string, number>>;
  readonly numbers: Numbers;
  /** Zones that came free and were not flushed yet; a file of before has none. */
  readonly released?: readonly number[];
}

export interface LocalNumbering {
  /** OpenFlow port to ask for, by key. */
  readonly ports: ReadonlyMap<string, number>;
  readonly numbers: Numbers;
  /** Zones that became free: to be flushed, and then named to `flushed`. */
  readonly releasedZones: readonly number[];
}

export class LocalNumbers {
  readonly #path: string | null;
  #kept: Kept = { nextPort: first, ports: {}, numbers: noNumbers };
  #loaded = false;

  /** @param path null: in memory only, for tests */
  constructor(path: string | null) {
    this.#path = path;
  }

  /** What is known keeps its number, what is new gets one, what is not asked for any more loses it. */
  async allocate(portKeys: ReadonlySet<string>, slice: NetworkSlice): Promise<LocalNumbering> {
    await this.#load();
    const before = this.#kept;
    const unflushed = before.released ?? [];
    const numbers = allocateNumbers(before.numbers, slice, unflushed);
    const released = [...unflushed, ...releasedZones(before.numbers, numbers)];
    const next = { ...portNumbers(before, portKeys), numbers, released };
    await this.#keep(next);
    return { ports: new Map(Object.entries(next.ports)), numbers, releasedZones: released };
  }

  /** The switch knows no connection in these zones any more. */
  async flushed(zones: readonly number[]): Promise<void> {
    const { released = [] } = this.#kept;
    await this.#keep({ ...this.#kept, released: released.filter((zone) => !zones.includes(zone)) });
  }

  async #load(): Promise<void> {
    if (this.#loaded || this.#path === null) return;
    const text = await readKeptFile(this.#path);
    if (text !== undefined) this.#kept = JSON.parse(text) as Kept;
    this.#loaded = true;
  }

  async #keep(kept: Kept): Promise<void> {
    const text = JSON.stringify(kept);
    if (text === JSON.stringify(this.#kept)) return;
    if (this.#path !== null) await writeKeptFile(this.#path, text);
    this.#kept = kept;
  }
}

function portNumbers(before: Kept, keys: ReadonlySet<string>): Pick<Kept, 'nextPort' | 'ports'> {
  const taken = new Set(Object.values(before.ports));
  const ports: Record<string, number> = {};
  let next = before.nextPort;
  for (const key of [...keys].sort()) {
    let number = before.ports[key];
    for (let tried = first; number === undefined; tried += 1) {
      if (tried > last) throw new RangeError('this host has no OpenFlow port number left');
      if (!taken.has(next)) number = next;
      next = next === last ? first : next + 1;
    }
    taken.add(number);
    ports[key] = number;
  }
  return { nextPort: next, ports };
}
