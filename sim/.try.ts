import { runPlan } from './run.ts';
import { makePlan } from './schedule/make-plan.ts';
import { plantedBugs } from './testing/planted-bugs.ts';
const [, , which, from, to] = process.argv;
const bug = plantedBugs[Number(which)]!;
for (let seed = Number(from); seed <= Number(to); seed++) {
  const c = process.cpuUsage();
  const made = makePlan(seed);
  const { violation, virtualMs } = await runPlan(bug.plan?.(made) ?? made, { planted: bug.planted });
  const d = process.cpuUsage(c);
  console.log(
    seed,
    ((d.user + d.system) / 1000).toFixed(0) + ' ms cpu',
    virtualMs,
    violation?.kind,
    violation?.what.slice(0, 150),
  );
}
