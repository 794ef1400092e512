/** On what and beside what was measured: figures without it mean nothing. */
import { writeFile, mkdir } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { dirname } from 'node:path';

export interface Surroundings {
  readonly at: string;
  readonly node: string;
  readonly cores: number;
  readonly cpuModel: string;
  readonly memoryMib: number;
  /** Load of the machine before anything was started: what ran beside the measurement. */
  readonly load1Before: number;
}

export function surroundings(): Surroundings {
  return {
    at: new Date().toISOString(),
    node: process.version,
    cores: availableParallelism(),
    cpuModel: cpus()[0]?.model ?? 'unknown',
    memoryMib: Math.round(totalmem() / 1024 / 1024),
    load1Before: loadavg()[0]!,
  };
}

export async function writeResult(path: string, result: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(result, undefined, 2)}\n`);
}
