import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { settledAfterMs } from '../ha/network-loss.ts';
import { chooseGateways, type GatewayHost, type GatewayLoss, type GatewayRouter, lossOf } from './gateway.ts';

const down = (forMs: number): GatewayLoss => ({ because: 'its uplink e1 is down', forMs });
const host = (hostId: string, facts: Partial<GatewayHost> = {}): GatewayHost => ({
  ...{ hostId, up: true, released: false, loss: null, uplinks: [{ switchId: 's', loss: null }] },
  ...facts,
});
const router = (
  routerId: string,
  gatewayHostId: string | null = null,
  ending: GatewayRouter['ending'] = 'no',
): GatewayRouter => ({ routerId, switchId: 's', gatewayHostId, ending });
const short = (routers: readonly GatewayRouter[], hosts: readonly GatewayHost[]) =>
  chooseGateways(routers, hosts).map(({ do: what, routerId, hostId }) => `${what} ${routerId} ${hostId}`);

describe('gateways', () => {
  it('spread, and stay where they are as long as that host can', () => {
    const hosts = [host('a'), host('b')];
    assert.deepEqual(short([router('1'), router('2'), router('3', 'a')], hosts), ['serve 1 b', 'serve 2 a']);
    assert.deepEqual(short([router('1', 'b'), router('2', 'b')], hosts), []);
  });

  it('leave a host that lives only after it has said that it ended, and only for one that can', () => {
    const lost = host('a', { loss: down(settledAfterMs) });
    assert.deepEqual(short([router('1', 'a')], [lost, host('b')]), ['end 1 a']);
    assert.deepEqual(short([router('1', 'a', 'asked')], [lost, host('b')]), []);
    const [move] = chooseGateways([router('1', 'a', 'ended')], [lost, host('b')]);
    assert.deepEqual(
      [move?.do, move?.hostId, move?.because],
      ['serve', 'b', 'its gateway host cannot serve it any more: its uplink e1 is down'],
    );
    const gone = host('a', { up: false });
    assert.deepEqual(short([router('1', 'a', 'asked')], [gone, host('b')]), [], 'it may translate still');
    assert.deepEqual(short([router('1', 'a', 'ended')], [gone, host('b')]), ['serve 1 b'], 'it cannot begin by itself');
    assert.deepEqual(short([router('1', 'a')], [lost, host('b', { loss: down(0) })]), [], 'nobody can');
    assert.deepEqual(short([router('1', 'a')], [host('a', { loss: down(settledAfterMs - 1) }), host('b')]), []);
  });

  it('go on where they were when that host can again, or nobody else can any more', () => {
    const back = [host('a'), host('b')];
    const none = [host('a', { loss: down(9000) }), host('b', { loss: down(100) })];
    for (const ending of ['asked', 'ended'] as const) {
      assert.deepEqual(short([router('1', 'a', ending)], back), ['go-on 1 a']);
      assert.deepEqual(short([router('1', 'a', ending)], none), ['go-on 1 a']);
    }
  });

  it('leave for the uplink of the switch that leads out, and for none else', () => {
    const of = (switchId: string | null) => ({ switchId, loss: down(settledAfterMs) });
    const other = host('a', { uplinks: [{ switchId: 's', loss: null }, of('t'), of(null)] });
    assert.deepEqual(short([router('1', 'a')], [other, host('b')]), []);
    assert.deepEqual(short([router('1', 'a')], [host('a', { uplinks: [of('s')] }), host('b')]), ['end 1 a']);
    assert.deepEqual(short([router('1', 'a')], [host('a', { uplinks: [] }), host('b')]), ['end 1 a']);
  });

  /** Hosts that hear of decisions late, and a manager that hears of them late: who really translates? */
  it('are served by one host at most whatever happens, and by one that can when it is over', () => {
    const names = ['a', 'b', 'c'];
    const event = fc.record({
      what: fc.constantFrom('round', 'deliver', 'silence', 'release', 'return', 'lose', 'heal', 'lead'),
      at: fc.constantFrom(...names),
    });
    const moved = new Set<string>();
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60, size: 'max' }), (events) => {
        const world = new Cloud(names);
        for (const { what, at } of events) {
          world[what](at);
          const answering = names.filter((name) => world.serves.has(name));
          assert.ok(answering.length <= 1, `${answering.join(' and ')} after ${what} ${at}`);
        }
        const silent = world.row.gatewayHostId !== null && !world.hosts.get(world.row.gatewayHostId)!.up;
        if (silent && !world.hosts.get(world.row.gatewayHostId!)!.released && world.row.ending !== 'ended') return;
        for (let n = 0; n < 4; n += 1) world.settle();
        const able = names.filter((name) => world.isAble(name));
        const { gatewayHostId } = world.row;
        if (able.length > 0) {
          assert.ok(gatewayHostId !== null && able.includes(gatewayHostId), `it is at ${gatewayHostId}`);
          assert.deepEqual([...world.serves], [gatewayHostId]);
        }
        for (const step of world.moves) moved.add(step);
      }),
      { numRuns: 2000 },
    );
    assert.deepEqual([...moved].sort(), ['end', 'go-on', 'serve'], 'all of it was tried');
  });
});

/** One router, hosts that apply what they are told when it arrives, and what a manager has in mind. */
class Cloud {
  readonly hosts: Map<string, GatewayHost>;
  /** Hosts that translate now. */
  readonly serves = new Set<string>();
  readonly moves = new Set<string>();
  row = router('1');
  readonly #names: readonly string[];

  constructor(names: readonly string[]) {
    this.#names = names;
    this.hosts = new Map(names.map((name) => [name, host(name)]));
  }

  round(): void {
    const [action] = chooseGateways([this.row], [...this.hosts.values()]);
    if (action === undefined) return;
    this.moves.add(action.do);
    this.row = router('1', action.hostId, action.do === 'end' ? 'asked' : 'no');
  }

  /** The newest slice arrives, and is answered. */
  deliver(at: string): void {
    if (!this.hosts.get(at)!.up) return;
    const { gatewayHostId, ending } = this.row;
    if (gatewayHostId === at && ending === 'no') this.serves.add(at);
    else this.serves.delete(at);
    if (gatewayHostId === at && ending === 'asked') this.row = router('1', at, 'ended');
  }

  silence(at: string): void {
    this.#set(at, { up: false });
  }

  /** Nobody hears it: it ends its part, and that is believed. */
  release(at: string): void {
    if (this.hosts.get(at)!.up) return;
    this.serves.delete(at);
    this.#set(at, { released: true });
  }

  /** With its links, it gets its slice soon. */
  return(at: string): void {
    this.#set(at, { up: true, released: false });
  }

  lose(at: string): void {
    this.#set(at, { loss: down(settledAfterMs) });
  }

  heal(at: string): void {
    this.#set(at, { loss: null });
  }

  /** Another manager, which does not know who has ended. */
  lead(): void {
    if (this.row.ending === 'ended') this.row = { ...this.row, ending: 'asked' };
  }

  settle(): void {
    this.round();
    for (const name of this.#names) this.deliver(name);
  }

  isAble(at: string): boolean {
    const one = this.hosts.get(at)!;
    return one.up && lossOf(one, this.row) === null;
  }

  #set(at: string, facts: Partial<GatewayHost>): void {
    this.hosts.set(at, { ...this.hosts.get(at)!, ...facts });
  }
}
