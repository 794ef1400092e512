/** A process that plays seeds as they come from its parent, and says what came of each. */
import { runPlan } from './run.ts';
import { makePlan } from './schedule/make-plan.ts';

export interface SeedResult {
  readonly seed: number;
  readonly violation: { readonly kind: string; readonly atMs: number; readonly what: string } | undefined;
  readonly virtualMs: number;
}

process.on('message', (seed: number) => {
  void runPlan(makePlan(seed)).then(({ violation, virtualMs }) =>
    process.send!({ seed, violation, virtualMs } satisfies SeedResult),
  );
});
process.on('disconnect', () => process.exit(0));
process.send!('ready');
