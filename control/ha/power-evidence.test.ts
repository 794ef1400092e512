/** A device says that the power is off: of which machine? */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isCheckDue } from './device-trust.ts';
import type { PowerCut } from './fence-proof.ts';
import { type HeardHost, judgePowerOff } from './power-evidence.ts';
import type { HostFacts } from './snapshot.ts';
import { cluster, incident, type Look, now, verified } from './testing/facts.ts';

const cutMs = now - 1000;
const cut: PowerCut = {
  ...{ state: 'off', before: 'on', deviceId: 'bmc-h1', kind: 'ipmi' },
  ...{ readBeforeAtMs: cutMs - 300, confirmedAtMs: cutMs },
};
const gone: Look = { silentMs: 4000, leaseMs: 3900, peersMs: 3900 };

function judge(
  told: Partial<PowerCut>,
  looks: Readonly<Record<string, Look>>,
  host: Partial<HostFacts> = {},
  at = now,
  elsewhere: readonly HeardHost[] = [],
): string {
  const h1 = { state: 'down', incident, ...host } as const;
  const snapshot = cluster({ h1: gone, h2: {}, h3: {}, ...looks }, { hosts: { h1 } });
  const judged = judgePowerOff(snapshot.hosts[0]!, { ...cut, ...told }, snapshot, at, elsewhere);
  if ('evidence' in judged) return 'proof';
  if ('waitFor' in judged) return `waits for ${judged.waitFor}`;
  return `${judged.mistrust === true ? 'mistrust' : 'none'}: ${judged.missing}`;
}

const trusts = (trust: object) => ({ fenceDevices: [{ id: 'bmc-h1', kind: 'ipmi', ...verified, ...trust } as const] });

describe('a confirmed power-off', () => {
  it('of a host that was silent before proves it', () => {
    assert.equal(judge({}, {}), 'proof');
  });

  it('of power that was off before it was told proves a host whose device read on shortly before it was lost', () => {
    assert.equal(judge({ before: 'off' }, {}), 'proof', 'it lost its power by itself');
    assert.match(judge({ before: 'off' }, {}, trusts({ seenOnAtMs: now - 901_000 })), /^none: .*another machine/);
  });

  it('by a device that is not believed proves nothing', () => {
    for (const before of ['on', 'off'] as const) {
      assert.match(judge({ before }, {}, trusts({ seenOnAtMs: null })), /^none: .*never read on/);
      assert.match(judge({ before }, {}, trusts({ mistrustedBecause: 'x' })), /^none: .*mistrusted: x/);
    }
    assert.match(judge({}, {}, { fenceDevices: [] }), /^none: .*not registered/);
  });

  it('is no proof, and makes the device mistrusted, when another host fell silent by the order', () => {
    assert.equal(judge({}, { h3: { silentMs: 1200 } }), 'waits for a word of h3');
    assert.match(judge({}, { h3: { silentMs: 1600 } }, {}, now), /^mistrust: h3 fell silent/);
    assert.equal(judge({}, { h3: { silentMs: 60_000 } }), 'proof', 'it was silent long before');
    assert.equal(
      judge({ before: 'off' }, { h3: { silentMs: 1600 } }),
      'proof',
      'an order to what was off cuts nothing',
    );
  });

  it('is no proof either when it was a host of another cluster that fell silent by the order', () => {
    const heard = (agoMs: number | null) => [{ name: 'x1', lastHeartbeatMs: agoMs === null ? null : now - agoMs }];
    assert.equal(judge({}, {}, {}, now, heard(1200)), 'waits for a word of x1');
    assert.match(judge({}, {}, {}, now, heard(1600)), /^mistrust: x1 fell silent/);
    assert.equal(judge({}, {}, {}, now, [...heard(200), ...heard(60_000), ...heard(null)]), 'proof');
  });

  it('of power that went off after its host was lost again is measured from that loss', () => {
    // A VM of it could not be restarted, so its incident is open since before.
    const host = { incident: { ...incident, openedAtMs: now - 5_000_000 }, ...trusts({ seenOnAtMs: now - 4_000_000 }) };
    assert.match(judge({ before: 'off' }, {}, host), /^none: .*another machine/);
    const lately = { ...host, ...trusts({ seenOnAtMs: now - 60_000 }) };
    assert.equal(judge({ before: 'off' }, {}, lately), 'proof');
  });

  it('is no proof while the host is heard', () => {
    assert.match(judge({}, { h1: { ...gone, silentMs: 900 } }), /^none: the host was heard after/);
    assert.match(judge({}, {}, { state: 'up' }), /^none: the host was heard after/);
  });

  it('of a host that others saw alive until then is a proof only when they saw it fall silent', () => {
    const seen = (leaseMs: number, peersMs: number, confirmedMs: number) =>
      judge(
        { readBeforeAtMs: now - confirmedMs - 300, confirmedAtMs: now - confirmedMs },
        { h1: { silentMs: 60_000, leaseMs, peersMs } },
      );
    assert.equal(seen(900, 60_000, 1000), 'waits for a report of its silence');
    assert.equal(seen(60_000, 900, 1000), 'waits for a report of its silence');
    assert.match(seen(300, 60_000, 5000), /^none: other hosts see it live on/, 'its lease is renewed');
    assert.match(seen(60_000, 300, 5000), /^none: other hosts see it live on/, 'it answers');
    assert.equal(seen(5000, 60_000, 5000), 'proof');
  });
});

it('devices are read at once when new, now and then when all is well, and soon when another host is lost', () => {
  const due = (checkedAgo: number | null, lostAgo: number | null, trust: object = {}): boolean =>
    isCheckDue(
      { ...verified, ...trust, checkedAtMs: checkedAgo === null ? null : now - checkedAgo },
      lostAgo === null ? null : now - lostAgo,
      now,
    );
  assert.deepEqual([due(null, null), due(60_000, null), due(300_000, null)], [true, false, true]);
  assert.deepEqual([due(60_000, 1000), due(60_000, 61_000)], [true, false]);
  assert.deepEqual(
    [due(10_000, null, { seenOnAtMs: null }), due(10_000, null, { mistrustedBecause: 'x' })],
    [true, true],
  );
  assert.equal(due(-1000, null), true, 'the clock was set back');
});
