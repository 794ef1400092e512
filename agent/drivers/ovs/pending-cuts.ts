/**
 * What was cut here and the manager does not know yet. On disk before the sessions are forgotten by the switch, for nobody could
 * tell afterwards which these were. It is told with every slice that is taken, until one has it.
 */
import { holdsCut, mergeCuts } from '@kvasir/api/agent/merge-cuts.ts';
import type { PortCuts } from '@kvasir/api/agent/network.ts';
import type { NetworkSlice, SliceCut, SlicePort } from '@kvasir/api/agent/network-slice.ts';
import { portKey } from '@kvasir/ovs/compile/numbers.ts';
import { readKeptFile, writeKeptFile } from '@kvasir/api/kept-file.ts';

type ByPort = Readonly<Record<string, PortCuts>>;

export class PendingCuts {
  readonly #path: string | null;
  #cuts: ByPort = {};
  #loaded = false;

  /** @param path null: in memory only, for tests */
  constructor(path: string | null) {
    this.#path = path;
  }

  get list(): PortCuts[] {
    return Object.values(this.#cuts);
  }

  async load(): Promise<void> {
    if (this.#loaded) return;
    const text = this.#path === null ? undefined : await readKeptFile(this.#path);
    if (text !== undefined) this.#cuts = JSON.parse(text) as ByPort;
    this.#loaded = true;
  }

  async add({ nicId, guestVlan }: Pick<SlicePort, 'nicId' | 'guestVlan'>, cuts: readonly SliceCut[]): Promise<void> {
    const key = portKey({ nicId, guestVlan });
    const merged = { nicId, guestVlan, cuts: mergeCuts(this.#cuts[key]?.cuts ?? [], cuts) };
    await this.#set({ ...this.#cuts, [key]: merged });
  }

  /** Drops what the slice has, and ports that were not in the one before either. */
  async settle(before: NetworkSlice | null, now: NetworkSlice): Promise<void> {
    if (Object.keys(this.#cuts).length === 0) return;
    const ports = new Map(now.ports.map((port) => [portKey(port), port]));
    const known = new Set([...(before?.ports ?? now.ports), ...now.ports].map(portKey));
    const left = Object.entries(this.#cuts).flatMap(([key, { cuts, ...port }]): [string, PortCuts][] => {
      const missing = cuts.filter((cut) => !holdsCut(ports.get(key)?.cuts ?? [], cut));
      return missing.length > 0 && known.has(key) ? [[key, { ...port, cuts: missing }]] : [];
    });
    await this.#set(Object.fromEntries(left));
  }

  /** The slice as it will be when the manager knows. */
  addedTo(slice: NetworkSlice): NetworkSlice {
    if (Object.keys(this.#cuts).length === 0) return slice;
    const ports = slice.ports.map((port) => {
      const pending = this.#cuts[portKey(port)];
      return pending === undefined ? port : { ...port, cuts: mergeCuts(port.cuts ?? [], pending.cuts) };
    });
    return { ...slice, ports };
  }

  async #set(cuts: ByPort): Promise<void> {
    if (JSON.stringify(cuts) === JSON.stringify(this.#cuts)) return;
    if (this.#path !== null) await writeKeptFile(this.#path, JSON.stringify(cuts));
    this.#cuts = cuts;
  }
}
