import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gatewayTerm } from '@kvasir/api/agent/gateway-term.ts';
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { gatewayLookMs, GatewayWatch } from './gateway-watch.ts';

function open(peers: (number | null)[] | null) {
  let [now, work] = [0, (): void => {}];
  const clock: Clock = {
    now: () => now,
    sleep: () => Promise.reject(new Error('unused')),
    after: (_ms, then) => {
      work = then;
      return () => {};
    },
  };
  const state = { peers, timesHeard: 0, ended: 0, dropped: 0, fails: false };
  const watch = new GatewayWatch({
    clock,
    endGateways: () => {
      if (state.fails) return Promise.reject(new Error('the switch does not answer'));
      state.ended += 1;
      return Promise.resolve();
    },
    liveness: {
      report: () =>
        state.peers && ({ peers: state.peers.map((heardMsAgo, n) => ({ hostId: `${n}`, heardMsAgo })) } as Liveness),
    },
    manager: {
      get timesHeard() {
        return state.timesHeard;
      },
      drop: () => void (state.dropped += 1),
    },
    log: () => {},
  });
  const pass = async (ms: number, each = (): void => {}): Promise<void> => {
    for (const end = now + ms; now < end; ) {
      now += gatewayLookMs;
      each();
      work();
      await new Promise(setImmediate);
    }
  };
  return { state, watch, pass, setClock: (to: number) => (now = to) };
}

describe('gateways of a host', () => {
  it('go on while the manager or a peer is heard', async () => {
    const { state, pass } = open([null, null]);
    await pass(60_000, () => (state.timesHeard += 1));
    state.peers = [null, 800];
    await pass(60_000);
    assert.equal(state.ended, 0);
  });

  it('end when neither has been heard for the agreed time, once, and the link with them', async () => {
    const { state, pass } = open([null, 700]);
    await pass(5000);
    state.peers = [null, gatewayTerm.heardWithinMs];
    await pass(gatewayTerm.endAfterMs - gatewayLookMs);
    assert.equal(state.ended, 0);
    await pass(gatewayLookMs);
    assert.deepEqual([state.ended, state.dropped], [1, 1]);
    await pass(60_000);
    assert.equal(state.ended, 1);
    state.timesHeard += 1;
    await pass(gatewayLookMs);
    await pass(gatewayTerm.endAfterMs);
    assert.equal(state.ended, 2, 'cut off again');
  });

  it('end without a word of the keeper too, and go on where there are no peers', async () => {
    const none = open(null);
    await none.pass(gatewayTerm.endAfterMs);
    assert.equal(none.state.ended, 1);
    const alone = open([]);
    await alone.pass(60_000);
    assert.equal(alone.state.ended, 0);
  });

  it('end soon when nobody is heard since the agent started', async () => {
    const { state, pass } = open([null]);
    await pass(5000);
    assert.equal(state.ended, 1);
  });

  it('end in time when the clock is set back, and again when the switch did not answer', async () => {
    const { state, pass, setClock } = open([null]);
    await pass(gatewayLookMs, () => (state.timesHeard += 1));
    await pass(4000);
    setClock(-1_000_000);
    state.fails = true;
    await pass(gatewayTerm.endAfterMs - 4000);
    assert.equal(state.dropped, 1);
    state.fails = false;
    await pass(gatewayLookMs);
    assert.equal(state.ended, 1);
  });
});
