/**
 * `npm run sim -- --seeds 10000 [--from 1] [--workers 2]`: plays that many plans made from seeds, tells the rate and each seed that
 * breaks a promise, the first ones cut down to a short script. `--seed N [--trace] [--shrink]` plays one. Exit code 1 when anything
 * failed.
 */
import { parseArgs } from 'node:util';
import { playSeeds } from './many-seeds.ts';
import { runPlan } from './run.ts';
import { makePlan } from './schedule/make-plan.ts';
import type { Plan } from './schedule/plan.ts';
import { shrink } from './shrink.ts';
import type { ViolationKind } from './watch/violation.ts';

const shrinkTrials = 150;
const shrunkAtMost = 3;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
  },
});

async function printShrunk(plan: Plan, kind: ViolationKind): Promise<void> {
  const fails = async (candidate: Plan): Promise<boolean> => (await runPlan(candidate)).violation?.kind === kind;
  const short = await shrink(plan, { fails, trials: shrinkTrials });
  console.log(`shortest script found (${kind}):\n${JSON.stringify(short, null, 1)}`);
}

async function playOne(seed: number): Promise<boolean> {
  const plan = makePlan(seed);
  const { violation, trace, hash, virtualMs } = await runPlan(plan);
  if (values.trace) console.log(trace.join('\n'));
  console.log(violation === undefined ? 'every promise held' : `${violation.kind}: ${violation.what}`);
  console.log(`trace ${hash}, ${virtualMs / 1000} s of the world's time`);
  if (values.shrink && violation !== undefined) await printShrunk(plan, violation.kind);
  return violation === undefined;
}

async function playMany(): Promise<boolean> {
  const began = performance.now();
  const [count, from] = [Number(values.seeds), Number(values.from)];
  let virtualMs = 0;
  let played = 0;
  const failed = new Map<number, ViolationKind>();
  await playSeeds({
    from,
    count,
    workers: Number(values.workers),
    onResult: (result) => {
      played += 1;
      virtualMs += result.virtualMs;
      const { violation, seed } = result;
      if (violation === undefined) return;
      failed.set(seed, violation.kind as ViolationKind);
      console.log(`seed ${seed}: ${violation.kind} after ${violation.atMs} ms: ${violation.what}`);
    },
  });
  const seconds = (performance.now() - began) / 1000;
  const rate = `${(played / seconds).toFixed(1)} a second, ${Math.round(virtualMs / 1000 / played)} s of the world's time each`;
  for (const [seed, kind] of [...failed].slice(0, shrunkAtMost)) await printShrunk(makePlan(seed), kind);
  console.log(
    `${played - failed.size} seeds held, ${failed.size} failed (from ${from}; ${seconds.toFixed(0)} s, ${rate})`,
  );
  return failed.size === 0 && played === count;
}

const held = values.seed === undefined ? await playMany() : await playOne(Number(values.seed));
process.exitCode = held ? 0 : 1;
