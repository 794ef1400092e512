/** Sessions that hosts have cut, by port: a slice says it to whichever host has the port later. Kept as long as the port. */
import { isIP } from 'node:net';
import { holdsCut, mergeCuts } from '@kvasir/api/agent/merge-cuts.ts';
import type { PortCuts } from '@kvasir/api/agent/network.ts';
import type { SliceCut } from '@kvasir/api/agent/network-slice.ts';
import type { Tx } from './database.ts';
import { ports } from './networks.ts';
import { Table } from './table.ts';

export interface SessionCutsRow {
  readonly portId: string;
  /** 0: the NIC itself. */
  readonly guestVlan: number;
  readonly cuts: readonly SliceCut[];
}

export const sessionCuts = new Table<SessionCutsRow>({
  table: 'sessionCuts',
  kind: 'cut session',
  key: 'portId',
  columns: { portId: 'text', guestVlan: 'integer', cuts: 'json' },
});

/** Adds what a host has cut; ports that are gone are left out. Returns whether anything of it was news. */
export async function addCuts(tx: Tx, reported: readonly PortCuts[]): Promise<boolean> {
  const rows = await ports.select(tx, { id: reported.map(({ nicId }) => nicId) });
  const here = new Set(rows.map(({ id }) => id));
  let news = false;
  for (const { nicId: portId, guestVlan, cuts } of reported) {
    if (!here.has(portId)) continue;
    const key = { portId, guestVlan: guestVlan ?? 0 };
    const known = await sessionCuts.find(tx, key);
    const valid = cuts.filter(({ address, remote }) => isIP(address) !== 0 && (remote === null || isIP(remote) !== 0));
    if (valid.every((cut) => holdsCut(known?.cuts ?? [], cut))) continue;
    const merged = mergeCuts(known?.cuts ?? [], valid);
    if (known === undefined) await sessionCuts.insert(tx, { ...key, cuts: merged });
    else await sessionCuts.set(tx, key, { cuts: merged });
    news = true;
  }
  return news;
}
