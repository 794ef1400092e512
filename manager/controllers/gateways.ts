/** Keeps every router that leads out at a host that can translate for it. Looked at each second: a dead gateway cuts everybody off. */
import { chooseGateways } from '@kvasir/control/network/gateway.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { sql } from 'kysely';
import type { Store } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { hosts } from '../store/hosts.ts';
import { networks } from '../store/networks.ts';
import { routers } from '../store/routers.ts';
import { uplinks } from '../store/switches.ts';
import { type Log, Rounds } from './rounds.ts';

const everyMs = 1000;

export interface GatewaySeams {
  readonly store: Store;
  readonly clock: Clock;
  /** Tells the hosts soon. */
  readonly links: { nudge(): void };
}

export function gateways(seams: GatewaySeams, log: Log): Rounds {
  return new Rounds({
    name: 'choice of gateway hosts',
    clock: seams.clock,
    everyMs,
    log,
    round: () => moveGateways(seams),
  });
}

export async function moveGateways({ store, clock, links }: GatewaySeams): Promise<void> {
  const moves = await decide(store);
  if (moves.length === 0) return;
  await store.transaction(async (tx) => {
    for (const { routerId, hostId, because, from } of moves) {
      const router = await routers.find(tx, { id: routerId });
      if (router === undefined || router.externalNetworkId === null || router.gatewayHostId !== from) continue;
      await routers.set(tx, { id: routerId }, { gatewayHostId: hostId });
      const { name } = await hosts.get(tx, hostId);
      await appendEvent(tx, {
        at: clock.now(),
        kind: 'router.gateway-moved',
        severity: from === null ? 'info' : 'warning',
        message: `Router ${router.name} leads out by host ${name}: ${because}`,
        target: { kind: 'router', id: router.id, name: router.name },
        projectId: router.projectId,
        details: { hostId, fromHostId: from },
      });
    }
  });
  links.nudge();
}

async function decide(store: Store) {
  const { db } = store;
  const leading = await db
    .selectFrom('routers')
    .select(['id', 'externalNetworkId', 'gatewayHostId'])
    .where('externalNetworkId', 'is not', null)
    .where(sql<boolean>`(gateway_host_id is null or gateway_host_id not in (select id from hosts where state = 'up'))`)
    .execute();
  // Only uplinks that were taken away are missed by this; deleting one is refused while it is needed by NICs.
  if (leading.length === 0) return [];
  const all = await routers.select(db);
  const networkIds = all.flatMap(({ externalNetworkId }) => externalNetworkId ?? []);
  const switchOf = new Map((await networks.select(db, { id: networkIds })).map(({ id, switchId }) => [id, switchId]));
  const switchIds = Map.groupBy(await uplinks.select(db), ({ hostId }) => hostId);
  const able = (await hosts.select(db)).map(({ id, state, inventory }) => ({
    hostId: id,
    up: state === 'up',
    tunnelAddress: inventory?.tunnelAddress ?? null,
    switchIds: (switchIds.get(id) ?? []).map(({ switchId }) => switchId),
  }));
  const wanting = all.flatMap(({ id, externalNetworkId, gatewayHostId }) =>
    externalNetworkId === null
      ? []
      : [{ routerId: id, switchId: switchOf.get(externalNetworkId) ?? null, gatewayHostId }],
  );
  const before = new Map(all.map(({ id, gatewayHostId }) => [id, gatewayHostId]));
  return chooseGateways(wanting, able).map((move) => ({ ...move, from: before.get(move.routerId) ?? null }));
}
