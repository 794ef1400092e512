import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { Departures } from './departures.ts';

describe('departures', () => {
  const timers: { readonly ms: number; readonly work: () => void }[] = [];
  const clock = { ...systemClock, after: (ms: number, work: () => void) => (timers.push({ ms, work }), () => {}) };
  /** One timer after the other; answers how much time they take at least. */
  const pass = (count: number): number => {
    const due = timers.splice(0, count);
    for (const { work } of due) work();
    return due.reduce((sum, { ms }) => sum + ms, 0);
  };

  it('are no older than what was waited for, whatever the clock says', () => {
    const departures = new Departures(clock);
    assert.equal(departures.awayMs('a'), 0);
    departures.note('a');
    departures.note('a');
    assert.equal(timers.length, 1);
    let waitedMs = 0;
    for (let tick = 0; tick < 8; tick += 1) {
      assert.equal(departures.awayMs('a'), waitedMs);
      waitedMs += pass(1);
    }
    assert.equal(departures.awayMs('a'), waitedMs);
  });

  it('that are known anew begin anew, and are forgotten in the end', () => {
    timers.length = 0;
    const departures = new Departures(clock);
    departures.note('a');
    pass(1);
    departures.forget('a');
    departures.note('a');
    assert.equal(departures.awayMs('a'), 0);
    pass(1);
    assert.equal(departures.awayMs('a'), 0, 'the timer of the first one');
    while (timers.length > 0) pass(1);
    assert.equal(departures.awayMs('a'), 0);
  });
});
