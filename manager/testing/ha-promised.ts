/** A test in a world of its own, in which no host may do what is forbidden. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../store/database.ts';
import { HaWorld } from './ha-world.ts';

export type Promised = (name: string, work: (world: HaWorld) => Promise<void>) => void;

export function promisedIn(open: () => Promise<Store>): Promised {
  return (name, work) => {
    test(name, async () => {
      const world = await HaWorld.open(await open());
      try {
        await work(world);
        assert.deepEqual(world.tasks.hosts.violations, []);
      } finally {
        await world.close();
      }
    });
  };
}
