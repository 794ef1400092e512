/**
 * Keeps every router that leads out at a host that can translate for it. Looked at each second: a dead gateway cuts everybody off, but
 * another host takes over only when the first has surely ended its part.
 */
import { chooseGateways } from '@kvasir/control/network/gateway.ts';
import type { ReleaseHost } from '@kvasir/control/network/gateway-release.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { sql } from 'kysely';
import type { Executor, Store } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { validProofs } from '../store/fence-proofs.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { networks } from '../store/networks.ts';
import { routers } from '../store/routers.ts';
import { uplinks } from '../store/switches.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';
import { GatewayReleases } from './gateway-releases.ts';
import { type Log, Rounds } from './rounds.ts';

const everyMs = 1000;

export interface GatewaySeams {
  readonly store: Store;
  readonly clock: Clock;
  /** Tells the hosts soon. */
  readonly links: { nudge(): void };
  readonly signals: HostSignals;
}

export function gateways(seams: GatewaySeams, log: Log): Rounds {
  const releases = new GatewayReleases();
  return new Rounds({
    name: 'choice of gateway hosts',
    clock: seams.clock,
    everyMs,
    log,
    round: () => moveGateways(seams, releases),
  });
}

export async function moveGateways(seams: GatewaySeams, releases: GatewayReleases): Promise<void> {
  const { store, clock, links } = seams;
  const moves = await decide(seams, releases);
  if (moves.length === 0) return;
  await store.transaction(async (tx) => {
    for (const { routerId, hostId, because, from, isDown } of moves) {
      const router = await routers.find(tx, { id: routerId });
      if (router === undefined || router.externalNetworkId === null || router.gatewayHostId !== from) continue;
      // Back in this very moment, it has been told to go on.
      if (isDown && from !== null && (await hosts.find(tx, { id: from }))?.state === 'up') continue;
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

async function decide({ store, clock, signals }: GatewaySeams, releases: GatewayReleases) {
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
  const rows = await hosts.select(db);
  const released = releases.look(await releaseHosts(db, rows, signals), clock.now());
  const able = rows.map(({ id, state, inventory }) => ({
    hostId: id,
    up: state === 'up',
    released: released.has(id),
    tunnelAddress: inventory?.tunnelAddress ?? null,
    switchIds: (switchIds.get(id) ?? []).map(({ switchId }) => switchId),
  }));
  const wanting = all.flatMap(({ id, externalNetworkId, gatewayHostId }) =>
    externalNetworkId === null
      ? []
      : [{ routerId: id, switchId: switchOf.get(externalNetworkId) ?? null, gatewayHostId }],
  );
  const before = new Map(all.map(({ id, gatewayHostId }) => [id, gatewayHostId]));
  return chooseGateways(wanting, able).map((move) => {
    const from = before.get(move.routerId) ?? null;
    return { ...move, from, isDown: from !== null && released.has(from) };
  });
}

/** By cluster. */
async function releaseHosts(db: Executor, rows: readonly HostRow[], signals: HostSignals): Promise<ReleaseHost[][]> {
  const proofs = await validProofs(db);
  const facts = rows
    .filter(({ state }) => state !== 'joining')
    .map(({ id, clusterId, state, createdAt, lastSeenAt }) => {
      const liveness = signals.liveness(id);
      const proof = proofs.get(id);
      return {
        clusterId,
        hostId: id,
        up: state === 'up',
        // A lease that ran out tells of VMs alone.
        provenOff: proof !== undefined && proof.kind !== 'lease-expired',
        createdAtMs: createdAt,
        lastSeenMs: signals.lastHeartbeatMs(id) ?? lastSeenAt,
        report: liveness === undefined ? null : { atMs: liveness.atMs, peers: liveness.report.peers },
      };
    });
  return [...Map.groupBy(facts, ({ clusterId }) => clusterId).values()];
}
