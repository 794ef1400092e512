import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { chooseGateways, type GatewayHost } from './gateway.ts';

const host = (hostId: string, facts: Partial<GatewayHost> = {}): GatewayHost => ({
  hostId,
  up: true,
  released: false,
  tunnelAddress: `10.0.0.${hostId.length}`,
  switchIds: ['s'],
  ...facts,
});
const router = (routerId: string, gatewayHostId: string | null = null) => ({ routerId, switchId: 's', gatewayHostId });

describe('gateways', () => {
  it('spread, and stay where they are as long as that host can', () => {
    const hosts = [host('a'), host('b')];
    const moves = chooseGateways([router('1'), router('2'), router('3', 'a')], hosts);
    assert.deepEqual(
      moves.map(({ routerId, hostId }) => [routerId, hostId]),
      [
        ['1', 'b'],
        ['2', 'a'],
      ],
    );
    assert.deepEqual(chooseGateways([router('1', 'b'), router('2', 'b')], hosts), []);
  });

  it('move away from a host that has ended its part or has no uplink any more, never to one', () => {
    const life = fc.constantFrom('up', 'silent', 'released');
    const state = fc.record({ life, linked: fc.boolean(), tunnel: fc.boolean() });
    const worlds = fc.record({ states: fc.array(state, { maxLength: 6 }), at: fc.array(fc.nat(7), { maxLength: 8 }) });
    fc.assert(
      fc.property(worlds, ({ states, at }) => {
        const hosts = states.map(({ life: now, linked, tunnel }, n) =>
          host(`h${n}`, {
            up: now === 'up',
            released: now === 'released',
            switchIds: linked ? ['s'] : [],
            tunnelAddress: tunnel ? '10.0.0.1' : null,
          }),
        );
        const able = new Set(
          hosts
            .filter((one) => one.up && one.switchIds.length > 0 && one.tunnelAddress !== null)
            .map((one) => one.hostId),
        );
        // It may still answer: whatever else is so, nobody takes over.
        const waiting = new Set(hosts.filter((one) => !one.up && !one.released).map((one) => one.hostId));
        const routers = at.map((place, n) => router(`r${n}`, place === 7 ? null : `h${place}`));
        const moves = new Map(chooseGateways(routers, hosts).map(({ routerId, hostId }) => [routerId, hostId]));
        for (const { routerId, gatewayHostId } of routers) {
          const move = moves.get(routerId);
          if (gatewayHostId !== null && (able.has(gatewayHostId) || waiting.has(gatewayHostId)))
            assert.equal(move, undefined);
          else if (able.size > 0) assert.ok(move !== undefined && able.has(move));
          else assert.equal(move, undefined);
        }
      }),
    );
  });
});
