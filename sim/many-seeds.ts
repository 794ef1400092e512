/** Plays many seeds in processes of their own, a few at a time. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { SeedResult } from './seeds-worker.ts';

export interface ManySeeds {
  readonly from: number;
  readonly count: number;
  readonly workers: number;
  readonly onResult: (result: SeedResult) => void;
}

/** Resolves when all are played; rejects when a process dies. */
export async function playSeeds({ from, count, workers, onResult }: ManySeeds): Promise<void> {
  let next = from;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child = fork(join(import.meta.dirname, 'seeds-worker.ts'), {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      let playing: number | undefined;
      child.on('message', (message) => {
        if (message !== 'ready') onResult(message as SeedResult);
        playing = next < from + count ? next++ : undefined;
        if (playing === undefined) child.disconnect();
        else child.send(playing);
      });
      child.on('error', reject);
      child.on('exit', (code) => {
        if (playing === undefined) resolve();
        else reject(new Error(`the process that played seed ${playing} ended with exit code ${code}`));
      });
    });
  await Promise.all(Array.from({ length: workers }, one));
}
