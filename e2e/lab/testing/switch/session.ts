/** A TCP connection that stays open: says something and waits for its echo. */
import type { ChildProcess } from 'node:child_process';
import { until } from '@kvasir/lab/processes.ts';
import type { Guest } from './switch-bed.ts';

export class Session {
  readonly #child: ChildProcess;
  #heard = '';
  #count = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#heard += text;
    });
    child.stdin!.on('error', () => undefined);
  }

  static async open(guest: Guest, address: string, port: number): Promise<Session> {
    const session = new Session(guest.start(['socat', '-', `TCP:${address}:${port},connect-timeout=3`], 'pipe'));
    if (!(await session.echoes(3000))) throw new Error(`no echo from ${address}:${port}`);
    return session;
  }

  /** Whether what is said now comes back in time. */
  async echoes(withinMs: number): Promise<boolean> {
    this.#count += 1;
    const word = `<${this.#count}>`;
    this.#child.stdin!.write(word);
    return until('the echo', withinMs, () => this.#heard.includes(word)).then(
      () => true,
      () => false,
    );
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}
