/** What the choice of gateway hosts is decided on, read from the store and from what hosts say of themselves. */
import type { GatewayHost, GatewayRouter } from '@kvasir/control/network/gateway.ts';
import type { ReleaseHost } from '@kvasir/control/network/gateway-release.ts';
import type { Executor } from '../store/database.ts';
import { validProofs } from '../store/fence-proofs.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hostStandby } from '../store/host-standby.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { uplinks } from '../store/switches.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';
import type { GatewayLinks } from './gateway-links.ts';

/** A router that leads out. */
export type LeadingRouter = Omit<GatewayRouter, 'ending'> & { readonly gatewayEnding: boolean };
/** Without what only silence tells. */
export type LinkedGatewayHost = Omit<GatewayHost, 'released'>;

export async function leadingRouters(db: Executor): Promise<LeadingRouter[]> {
  const rows = await db
    .selectFrom('routers')
    .innerJoin('networks', 'networks.id', 'routers.externalNetworkId')
    .select(['routers.id', 'networks.switchId', 'routers.gatewayHostId', 'routers.gatewayEnding'])
    .orderBy('routers.id')
    .execute();
  return rows.map(({ id, switchId, gatewayHostId, gatewayEnding }) => ({
    ...{ routerId: id, switchId, gatewayHostId, gatewayEnding: Number(gatewayEnding) === 1 },
  }));
}

export async function readHosts(
  db: Executor,
  signals: HostSignals,
  links: GatewayLinks,
  rows: readonly HostRow[],
): Promise<LinkedGatewayHost[]> {
  const hostIds = rows.map(({ id }) => id);
  const own = Map.groupBy(await uplinks.select(db, { hostId: hostIds }), ({ hostId }) => hostId);
  const leaving = new Map<string, string>();
  for (const { hostId } of await hostMaintenance.select(db, { hostId: hostIds })) {
    leaving.set(hostId, 'it is in maintenance');
  }
  for (const { hostId } of await hostStandby.select(db, { hostId: hostIds })) leaving.set(hostId, 'it is in standby');
  return rows.map((row) => ({
    hostId: row.id,
    up: row.state === 'up',
    ...links.of({
      ...{ row, liveness: signals.liveness(row.id), uplinks: own.get(row.id) ?? [] },
      leavingBecause: leaving.get(row.id) ?? null,
    }),
  }));
}

/** By cluster. */
export async function releaseHosts(db: Executor, signals: HostSignals): Promise<ReleaseHost[][]> {
  const proofs = await validProofs(db);
  const facts = (await hosts.select(db))
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
