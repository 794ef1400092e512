/** What passes on a device, as tcpdump tells it, from the moment that it listens until it is stopped: none is lost at either end. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { until } from '@kvasir/lab/processes.ts';

/** At once, or what the kernel still holds is gone when it ends. */
export const tcpdump = ['tcpdump', '--immediate-mode', '-l', '-nn'] as const;

export interface Capture {
  readonly lines: readonly string[];
  stop(): Promise<readonly string[]>;
}

/** @param child `tcpdump` with its output and its errors in pipes */
export async function startCapture(child: ChildProcess): Promise<Capture> {
  let text = '';
  let said = '';
  child.stdout!.setEncoding('utf8').on('data', (part: string) => (text += part));
  child.stderr!.setEncoding('utf8').on('data', (part: string) => (said += part));
  // What is inside a tunnel stands on a line of its own below.
  const lines = (): string[] => text.split(/\n(?=\d\d:\d\d:\d\d\.)/).filter((line) => line.trim() !== '');
  await until('the capture', 10_000, () => {
    if (child.exitCode !== null) throw new Error(`tcpdump ended: ${said}`);
    return said.includes('listening on');
  });
  return {
    get lines() {
      return lines();
    },
    stop: async () => {
      await endOf(child, 'SIGINT');
      return lines();
    },
  };
}

export async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'close');
  child.kill(signal);
  await gone;
}
