/**
 * The small numbers that this host's flows speak of: OpenFlow ports of the interfaces, and the compiler's own (zones, networks,
 * profiles). Kept on disk before they are used, so that a restart changes no flow. A freed port number comes back only after
 * all others, so that a flow that still names it does not meet its next owner.
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
}

export interface LocalNumbering {
  /** OpenFlow port to ask for, by key. */
  readonly ports: ReadonlyMap<string, number>;
  readonly numbers: Numbers;
  /** Zones that became free: to be flushed. */
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
    const numbers = allocateNumbers(before.numbers, slice);
    const next = { ...portNumbers(before, portKeys), numbers };
    if (JSON.stringify(next) !== JSON.stringify(before)) {
      await this.#save(next);
      this.#kept = next;
    }
    const ports = new Map(Object.entries(next.ports));
    return { ports, numbers, releasedZones: releasedZones(before.numbers, numbers) };
  }

  async #load(): Promise<void> {
    if (this.#loaded || this.#path === null) return;
    const text = await readKeptFile(this.#path);
    if (text !== undefined) this.#kept = JSON.parse(text) as Kept;
    this.#loaded = true;
  }

  async #save(kept: Kept): Promise<void> {
    if (this.#path !== null) await writeKeptFile(this.#path, JSON.stringify(kept));
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
