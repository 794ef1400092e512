import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutoffsOf, defaultRetention, eventsToRemove, retentionOf } from './retention.ts';

const day = 86_400_000;
const now = 1000 * day;

test('limits that are missing or make no sense are the defaults', () => {
  assert.deepEqual(retentionOf(undefined), defaultRetention);
  assert.deepEqual(retentionOf(['no']), defaultRetention);
  assert.deepEqual(retentionOf({ eventDays: 7, auditDays: -1, taskDays: '3', eventRows: 0.5 }), {
    ...defaultRetention,
    eventDays: 7,
  });
});

test('the oldest events go by age, or by number whatever their age', () => {
  const cutoffs = cutoffsOf({ ...defaultRetention, eventDays: 30, eventRows: 10 }, { now, lastEventSeq: 13 });
  assert.equal(cutoffs.eventsUpTo, 3);
  const young = [1, 2, 3, 4, 5].map((seq) => ({ seq, at: now - day }));
  assert.equal(eventsToRemove(young, cutoffs), 3);
  assert.equal(eventsToRemove(young.slice(3), cutoffs), undefined);
  const old = [4, 5, 6].map((seq) => ({ seq, at: seq < 6 ? now - 31 * day : now - 29 * day }));
  assert.equal(eventsToRemove(old, cutoffs), 5);
  assert.equal(eventsToRemove([], cutoffs), undefined);
});

test('an old event behind a young one stays until that one goes, so that no gap appears', () => {
  const cutoffs = cutoffsOf(defaultRetention, { now, lastEventSeq: 3 });
  const rows = [
    { seq: 1, at: now },
    { seq: 2, at: 0 },
  ];
  assert.equal(eventsToRemove(rows, cutoffs), undefined);
});

test('fewer events than allowed keep all', () => {
  assert.equal(cutoffsOf(defaultRetention, { now, lastEventSeq: 12 }).eventsUpTo, 0);
});
