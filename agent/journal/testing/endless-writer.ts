/** Writes keys k0, k1 … into the journal given until it is killed; prints each key once it is recorded. */
import { FileJournal } from '../file-journal.ts';

const journal = await FileJournal.open(process.argv[2]!, { now: Date.now, slack: 50, keepMs: 1e12 });
await journal.raiseEpoch(Number(process.argv[3]));
process.stdout.write(`epoch ${journal.epoch}\n`);
for (let count = 0; ; count += 1) {
  const key = `${process.argv[3]}/${count}`;
  await journal.record({
    key,
    method: 'vm.start',
    result: { state: 'running', padding: 'x'.repeat(count % 3000) },
    bootId: 'boot',
  });
  process.stdout.write(`${key}\n`);
}
