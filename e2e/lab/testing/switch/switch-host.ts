/** The driver of one lab host as the tests talk to it, alive or killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LabHost } from '@kvasir/lab/host.ts';
import { checkoutDirectory, insideHost, nodeBinary } from '@kvasir/lab/layout.ts';
import type { SwitchAnswer, SwitchCall } from './program.ts';

export class SwitchHost {
  readonly host: LabHost;
  #child: ChildProcess | null = null;
  #lastId = 0;
  readonly #waiting = new Map<number, (answer: SwitchAnswer) => void>();

  constructor(host: LabHost) {
    this.host = host;
  }

  get vtep(): string {
    return this.host.layout.addresses.tunnel;
  }

  start(): void {
    const [file, ...args] = this.host.command([
      nodeBinary,
      join(checkoutDirectory, 'e2e/lab/testing/switch/program.ts'),
      insideHost.uplinkBridge,
      `${this.vtep}/24`,
      '/var/lib/kvasir/switch-numbers.json',
    ]);
    const child = spawn(file!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => undefined);
    createInterface(child.stdout).on('line', (line) => {
      const answer = JSON.parse(line) as SwitchAnswer;
      this.#waiting.get(answer.id)?.(answer);
    });
    child.once('exit', () => {
      for (const [id, tell] of this.#waiting) tell({ id, error: 'the driver ended' });
    });
    this.#child = child;
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** Rejects with the driver's words. */
  async call(call: SwitchCall): Promise<SwitchAnswer> {
    const child = this.#child;
    if (child === null) throw new Error(`no driver runs on ${this.host.name}`);
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = await new Promise<SwitchAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
      child.stdin!.write(`${JSON.stringify({ id, ...call })}\n`);
    });
    this.#waiting.delete(id);
    if (answer.error !== undefined) throw new Error(`${this.host.name}: ${answer.error}`);
    return answer;
  }

  ovs(...argv: readonly string[]): Promise<string> {
    return this.host.exec(argv);
  }
}
