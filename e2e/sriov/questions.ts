/** Asks an address without a pause (`ping`), and knows which questions had an answer. */
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { runProgram } from '@kvasir/agent/drivers/program.ts';

export interface Asking {
  /** Goes on for so many questions. */
  for(count: number): Promise<void>;
  end(): Promise<{ readonly sent: number; readonly missed: readonly number[] }>;
}

export class Questions {
  readonly everyMs = 200;
  readonly #namespace: string;
  readonly #address: string;

  constructor(namespace: string, address: string) {
    this.#namespace = namespace;
    this.#address = address;
  }

  nextIsAnswered(): Promise<boolean> {
    return this.answered(1).then((count) => count === 1);
  }

  async answered(count: number): Promise<number> {
    const end = ['-c', String(count), '-W', '1'];
    // Nothing heard is an error to ping.
    const { stdout } = await runProgram('ip', [...this.#ping, ...end]).catch(() => ({ stdout: '' }));
    return answersIn(stdout).size;
  }

  during(): Asking {
    const child = spawn('ip', this.#ping, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const closed = new Promise((resolve) => child.once('close', resolve));
    return {
      for: (count) => pause(count * this.everyMs),
      end: async () => {
        child.kill('SIGINT');
        await closed;
        const sent = Number(/([0-9]+) packets transmitted/.exec(output)?.[1] ?? 0);
        const heard = answersIn(output);
        const missed = Array.from({ length: sent }, (_, index) => index + 1).filter((each) => !heard.has(each));
        return { sent, missed };
      },
    };
  }

  get #ping(): string[] {
    const every = String(this.everyMs / 1000);
    return ['netns', 'exec', this.#namespace, 'ping', '-n', '-i', every, this.#address];
  }
}

/** Which questions had one; one that came twice counts once. */
function answersIn(output: string): Set<number> {
  return new Set([...output.matchAll(/bytes from .* icmp_seq=([0-9]+)/g)].map(([, seq]) => Number(seq)));
}
