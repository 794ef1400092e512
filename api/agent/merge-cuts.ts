/**
 * Cuts of one port put together, the same on agents and manager. There are never more than `mostCuts`: beyond, they are made wider.
 * A wide one costs nothing but that a session which runs the other way is not picked up in its middle.
 */
import type { SliceCut } from './network-slice.ts';

export const mostCuts = 256;

/** Sorted, each once, and none that a wider one holds. */
export function mergeCuts(...lists: readonly (readonly SliceCut[])[]): SliceCut[] {
  const all = lists.flat();
  for (const widened of [all, all.map(fromAnybody), all.map(toAnyPort)]) {
    const merged = distinct(widened);
    if (merged.length <= mostCuts) return merged;
  }
  // More addresses than a port has: these are not from one.
  return distinct(all.map(toAnyPort)).slice(0, mostCuts);
}

/** Whether `cuts` hold all that `cut` does. */
export function holdsCut(cuts: readonly SliceCut[], cut: SliceCut): boolean {
  return cuts.some((wide) => contains(wide, cut));
}

function distinct(cuts: readonly SliceCut[]): SliceCut[] {
  const byText = new Map(
    cuts.map(({ opened, address, port, remote }) => {
      const cut = { opened, address, port, remote };
      return [JSON.stringify(cut), cut];
    }),
  );
  const once = [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, cut]) => cut);
  const wide = once.filter(({ port, remote }) => port === null || remote === null);
  return once.filter((cut) => !wide.some((other) => other !== cut && contains(other, cut)));
}

function contains(wide: SliceCut, cut: SliceCut): boolean {
  return (
    wide.opened === cut.opened &&
    wide.address === cut.address &&
    (wide.port === null || wide.port === cut.port) &&
    (wide.remote === null || wide.remote === cut.remote)
  );
}

function fromAnybody(cut: SliceCut): SliceCut {
  return { ...cut, remote: null };
}

function toAnyPort(cut: SliceCut): SliceCut {
  return { ...cut, port: null, remote: null };
}
