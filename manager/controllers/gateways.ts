/**
 * Keeps every router that leads out at a host that can translate for it. Looked at each second: a gateway that is dead or leads
 * nowhere cuts everybody off, but another host takes over only when the first has surely ended its part: when it has said so, or,
 * where nobody hears it, when `gateway-releases.ts` says so.
 *
 * A handover is written down before anybody is told: `gatewayEnding` with the old host, then the new host without it. Whoever
 * leads next goes on from there.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { chooseGateways, type GatewayAction, type GatewayRouter, lossOf } from '@kvasir/control/network/gateway.ts';
import type { Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { routers } from '../store/routers.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';
import { leadingRouters, type LeadingRouter, readHosts, releaseHosts } from './gateway-facts.ts';
import { GatewayHandovers, type HandoverCalls } from './gateway-handovers.ts';
import { GatewayLinks } from './gateway-links.ts';
import { GatewayReleases } from './gateway-releases.ts';
import { type Log, Rounds } from './rounds.ts';

const everyMs = 1000;

export interface GatewaySeams {
  readonly store: Store;
  readonly clock: Clock;
  /** Tells the hosts soon. */
  readonly links: { nudge(): void };
  readonly calls: HandoverCalls;
  readonly signals: HostSignals;
  readonly epoch: () => number | undefined;
}

export function gateways(seams: GatewaySeams, log: Log): Rounds {
  const controller = new Gateways(seams);
  const round = () => controller.round();
  return new Rounds({ name: 'choice of gateway hosts', clock: seams.clock, everyMs, log, round });
}

/** What was decided, and what it holds for. */
type Decided = GatewayAction & {
  readonly from: string | null;
  readonly wasEnding: boolean;
  /** Because that host is down. */
  readonly isDown: boolean;
};

export class Gateways {
  readonly #seams: GatewaySeams;
  readonly #releases = new GatewayReleases();
  readonly #links = new GatewayLinks();
  #handovers: GatewayHandovers;
  #epoch: number | undefined;

  constructor(seams: GatewaySeams) {
    this.#seams = seams;
    this.#handovers = new GatewayHandovers(seams.calls);
  }

  async round(): Promise<void> {
    const { store, links, calls, epoch } = this.#seams;
    // While another one led, hosts may have been told to go on.
    if (epoch() !== this.#epoch) this.#handovers = new GatewayHandovers(calls);
    this.#epoch = epoch();
    const decided = await this.#decide();
    if (decided.length > 0) {
      await store.transaction(async (tx) => {
        await this.#requireLead(tx);
        for (const one of decided) await this.#apply(tx, one);
      });
      links.nudge();
    }
    await this.#ask();
  }

  /** Only what is committed is asked about. */
  async #ask(): Promise<void> {
    const ending = await routers.select(this.#seams.store.db, { gatewayEnding: true });
    this.#handovers.keep(
      new Map(
        ending.flatMap(({ id, gatewayHostId }) => (gatewayHostId === null ? [] : [[id, gatewayHostId] as const])),
      ),
    );
  }

  async #decide(): Promise<Decided[]> {
    const { store, clock, signals } = this.#seams;
    const { db } = store;
    const leading = await leadingRouters(db);
    if (leading.length === 0) return [];
    const now = clock.now();
    this.#links.look(now);
    const serving = [...new Set(leading.flatMap(({ gatewayHostId }) => gatewayHostId ?? []))];
    if (await this.#isCalm(leading, await hosts.select(db, { id: serving }))) return [];
    const known = await readHosts(db, signals, this.#links, await hosts.select(db));
    const released = this.#releases.look(await releaseHosts(db, signals), now);
    const asked = leading.map(({ gatewayEnding, ...router }): GatewayRouter => {
      const ended = this.#handovers.hasEnded(router.routerId);
      return { ...router, ending: !gatewayEnding ? 'no' : ended ? 'ended' : 'asked' };
    });
    const actions = chooseGateways(
      asked,
      known.map((host) => ({ ...host, released: released.has(host.hostId) })),
    );
    const before = new Map(asked.map((router) => [router.routerId, router]));
    return actions.map((action) => {
      const { gatewayHostId: from, ending } = before.get(action.routerId)!;
      return { ...action, from, wasEnding: ending !== 'no', isDown: ending !== 'ended' && released.has(from ?? '') };
    });
  }

  /** Every router is served by a host that lacks nothing. */
  async #isCalm(leading: readonly LeadingRouter[], rows: readonly HostRow[]): Promise<boolean> {
    const { store, signals } = this.#seams;
    const known = await readHosts(store.db, signals, this.#links, rows);
    const serving = new Map(known.map((host) => [host.hostId, host]));
    return leading.every((router) => {
      const host = serving.get(router.gatewayHostId ?? '');
      return host?.up === true && !router.gatewayEnding && lossOf(host, router) === null;
    });
  }

  async #apply(tx: Tx, { do: what, routerId, hostId, because, from, wasEnding, isDown }: Decided): Promise<void> {
    const router = await routers.find(tx, { id: routerId });
    if (router === undefined || router.externalNetworkId === null) return;
    if (router.gatewayHostId !== from || router.gatewayEnding !== wasEnding) return;
    // Back in this very moment, it has been told to go on.
    if (isDown && from !== null && (await hosts.find(tx, { id: from }))?.state === 'up') return;
    await routers.set(tx, { id: routerId }, { gatewayHostId: hostId, gatewayEnding: what === 'end' });
    const { name } = await hosts.get(tx, hostId);
    const target = { kind: 'router', id: router.id, name: router.name };
    const at = this.#seams.clock.now();
    // Hosts and their cables are no matter of the project's.
    await appendEvent(tx, {
      ...{ at, target, ...wordsOf(what, router.name, name, because) },
      severity: from === null || what === 'go-on' ? 'info' : 'warning',
      details: { hostId, fromHostId: from },
    });
    if (what !== 'serve' || from === null) return;
    const message = `Router ${router.name} leads out by another host: connections to the outside have to be made anew`;
    const { projectId } = router;
    await appendEvent(tx, { at, target, kind: 'router.translation-lost', severity: 'warning', message, projectId });
  }

  async #requireLead(tx: Tx): Promise<void> {
    // That of the whole round: what was decided on was known in this one.
    const epoch = this.#epoch;
    if (epoch === undefined || (await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
  }
}

function wordsOf(what: GatewayAction['do'], router: string, host: string, because: string) {
  switch (what) {
    case 'end':
      return { kind: 'router.gateway-ending', message: `Router ${router} is to leave host ${host}: ${because}` };
    case 'go-on':
      return {
        kind: 'router.gateway-stays',
        message: `Router ${router} goes on leading out by host ${host}: ${because}`,
      };
    case 'serve':
      return { kind: 'router.gateway-moved', message: `Router ${router} leads out by host ${host}: ${because}` };
  }
}
