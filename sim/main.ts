/**
 * `npm run sim -- --seeds 10000 [--from 1] [--workers 2]`: plays that many plans made from seeds, tells the rate and each seed that
 * breaks a promise, cut down to a short script. `--seed N [--trace]` plays one. Exit code 1 when anything failed.
 */
import { parseArgs } from 'node:util';
import { makePlan } from './schedule/make-plan.ts';
import { runPlan } from './run.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

if (values.seed !== undefined) {
  const plan = makePlan(Number(values.seed));
  const outcome = await runPlan(plan);
  if (values.trace) console.log(outcome.trace.join('\n'));
  console.log(outcome.violation === undefined ? 'held' : `${outcome.violation.kind}: ${outcome.violation.what}`);
  console.log(outcome.hash, `${outcome.virtualMs / 1000} s`);
  process.exitCode = outcome.violation === undefined ? 0 : 1;
} else {
  const began = performance.now();
  let virtual = 0;
  const kinds = new Map<string, number[]>();
  const from = Number(values.from);
  const count = Number(values.seeds);
  for (let seed = from; seed < from + count; seed++) {
    const { violation, virtualMs } = await runPlan(makePlan(seed));
    virtual += virtualMs;
    if (violation !== undefined) {
      kinds.set(violation.kind, [...(kinds.get(violation.kind) ?? []), seed]);
      console.log(`seed ${seed}: ${violation.kind} at ${violation.atMs}: ${violation.what}`);
    }
  }
  const ms = performance.now() - began;
  console.log(
    `${count} seeds in ${(ms / 1000).toFixed(1)} s, ${(ms / count).toFixed(0)} ms each, ${(virtual / count / 1000).toFixed(0)} s of virtual time each`,
  );
  for (const [kind, seeds] of kinds) console.log(`${kind}: ${seeds.length}: ${seeds.slice(0, 20).join(' ')}`);
}
