/** What high availability thinks of hosts, as operators see it. */
import type { Host } from '@kvasir/api/resources/host.ts';
import type { Executor } from '../store/database.ts';
import { haIncidents } from '../store/ha-incidents.ts';
import { hostHa } from '../store/host-ha.ts';
import { isoOrNull } from './views.ts';

/** By host id; hosts of which nothing is written are running. */
export async function hostHaViews(db: Executor, hostIds: readonly string[]): Promise<ReadonlyMap<string, Host['ha']>> {
  const known = new Map((await hostHa.select(db, { hostId: hostIds })).map((row) => [row.hostId, row]));
  // The newest comes last and stays.
  const incidents = await haIncidents.select(db, { hostId: hostIds }, 'openedAt');
  const incidentOf = new Map(incidents.map(({ hostId, id }) => [hostId, id]));
  return new Map(
    hostIds.map((id) => {
      const row = known.get(id);
      const { state = 'running', because = null } = row ?? {};
      return [id, { state, because, since: isoOrNull(row?.since || null), incidentId: incidentOf.get(id) ?? null }];
    }),
  );
}
