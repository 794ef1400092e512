import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isUnheard, type ReleaseHost } from './gateway-release.ts';

const now = 1_000_000_000;
const host = (hostId: string, facts: Partial<ReleaseHost> = {}): ReleaseHost => ({
  ...{ hostId, up: true, provenOff: false, createdAtMs: 0, lastSeenMs: now, report: null },
  ...facts,
});
const cut = host('cut', { up: false, lastSeenMs: now - 6000 });
const witness = (hostId: string, heardMsAgo: number | null, ageMs = 500): ReleaseHost =>
  host(hostId, { report: { atMs: now - ageMs, peers: [{ hostId: 'cut', heardMsAgo }] } });
const silent = (hostId: string, facts: Partial<ReleaseHost>): ReleaseHost => host(hostId, { up: false, ...facts });

describe('a host that its manager does not hear', () => {
  const unheard = (...others: readonly ReleaseHost[]): boolean => isUnheard(cut, others, now);

  it('is heard by nobody when every other host says so just now', () => {
    assert.ok(unheard(witness('a', 6000), witness('b', null)));
  });

  it('may go on while one of them hears it, or says nothing', () => {
    assert.equal(unheard(witness('a', 6000), witness('b', 1000)), false);
    assert.equal(unheard(witness('a', 6000), host('b')), false);
    assert.equal(unheard(witness('a', 6000, 3000)), false, 'a report that is old');
  });

  it('may go on beside a host that fell silent with it, not beside one proven dead or long away', () => {
    const a = witness('a', 6000);
    assert.equal(unheard(a, silent('b', { lastSeenMs: now - 20_000 })), false);
    assert.ok(unheard(a, silent('b', { lastSeenMs: now - 20_000, provenOff: true })));
    assert.ok(unheard(a, silent('b', { lastSeenMs: now - 600_000 })));
    assert.ok(unheard(silent('b', { provenOff: true })), 'it has lost its peers, and ends for that');
  });

  it('goes on alone when it never knew of others', () => {
    assert.equal(unheard(), false);
    const fresh = { ...witness('new', null), createdAtMs: now - 10_000 };
    assert.equal(unheard(fresh), false);
    const told = { ...cut, report: { atMs: now - 6000, peers: [{ hostId: 'new', heardMsAgo: null }] } };
    assert.ok(isUnheard(told, [fresh], now), 'it had said that it knows');
  });

  it('is not one that is heard, or was never', () => {
    assert.equal(isUnheard(host('cut'), [witness('a', 6000)], now), false);
    assert.equal(isUnheard(host('cut', { up: false, lastSeenMs: null }), [witness('a', null)], now), false);
  });
});
