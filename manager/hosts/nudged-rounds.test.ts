import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { NudgedRounds } from './nudged-rounds.ts';

describe('rounds that are nudged', () => {
  it('make one of all nudges of a turn', async () => {
    let rounds = 0;
    const nudged = new NudgedRounds(async () => void (rounds += 1), assert.ifError);
    nudged.nudge();
    nudged.nudge();
    assert.equal(rounds, 0, 'the turn is not over');
    await nudged.settle();
    assert.equal(rounds, 1);
  });

  it('make one more for all nudges during one, never two at a time', async () => {
    let [rounds, atOnce, most] = [0, 0, 0];
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const nudged = new NudgedRounds(async () => {
      rounds += 1;
      atOnce += 1;
      most = Math.max(most, atOnce);
      begun.resolve();
      await gate.promise;
      atOnce -= 1;
    }, assert.ifError);
    nudged.nudge();
    await begun.promise;
    nudged.nudge();
    nudged.nudge();
    // What began too early would have begun by now.
    await turn();
    await turn();
    gate.resolve();
    await nudged.settle();
    assert.deepEqual([rounds, most], [2, 1]);
  });

  it('go on after one that failed, and tell of it', async () => {
    const failures: unknown[] = [];
    let rounds = 0;
    const nudged = new NudgedRounds(
      async () => {
        rounds += 1;
        if (rounds === 1) throw new Error('no database');
      },
      (error) => failures.push(error),
    );
    nudged.nudge();
    await nudged.settle();
    nudged.nudge();
    await nudged.settle();
    assert.equal(rounds, 2);
    assert.deepEqual(failures, [new Error('no database')]);
  });
});
