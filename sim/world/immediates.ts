/**
 * What is put off by `setImmediate` in a simulated world: kept here instead of in the event loop, so that the clock knows
 * exactly whether anything is still to be done at the present moment. Product code reaches it by the global function and by
 * `node:timers/promises`; both lead here while a world runs.
 */
import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';

const realTurn = globalThis.setImmediate;
const realPromise = timersPromises.setImmediate;
let waiting: (() => void)[] = [];
let worlds = 0;

/** From now on until `restoreImmediates`, which has to follow as often. */
export function holdImmediates(): void {
  worlds += 1;
  if (worlds > 1) return;
  const put = (work: (...given: unknown[]) => void, ...given: unknown[]): void =>
    void waiting.push(() => work(...given));
  globalThis.setImmediate = put as unknown as typeof setImmediate;
  timersPromises.setImmediate = (<T>(value?: T) => new Promise((resolve) => put(() => resolve(value)))) as never;
  syncBuiltinESMExports();
}

export function restoreImmediates(): void {
  worlds -= 1;
  if (worlds > 0) return;
  globalThis.setImmediate = realTurn;
  timersPromises.setImmediate = realPromise;
  syncBuiltinESMExports();
  waiting = [];
}

/** Does what was put off until now, in order; false: there was nothing. */
export function runImmediates(): boolean {
  if (waiting.length === 0) return false;
  const now = waiting;
  waiting = [];
  for (const work of now) work();
  return true;
}

/** Resolves when all promises that could be settled have been, with everything that waited for them. */
export function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => realTurn(resolve));
}
