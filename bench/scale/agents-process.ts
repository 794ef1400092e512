/** The process with the simulated hosts, as the benchmark sees it: joins them, connects them, ends. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { AgentsCommand, AgentsReport, HostToJoin } from './agents-messages.ts';

const program = join(import.meta.dirname, 'agents-program.ts');

export type RuleApplied = Extract<AgentsReport, { readonly done: 'rule-applied' }>;

export interface Reached {
  readonly count: number;
  /** Why it are not all; null: they are. */
  readonly reason: string | null;
}

export class AgentsProcess {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves when all have their identity, or the time is over. */
  join(hosts: readonly HostToJoin[], folder: string, limitMs: number): Promise<Reached> {
    return this.#until('joined', hosts.length, { do: 'join', hosts, folder }, limitMs);
  }

  /** Resolves when the manager has welcomed all, or the time is over. */
  connect(count: number, limitMs: number): Promise<Reached> {
    return this.#until('connected', count, { do: 'connect' }, limitMs);
  }

  /**
   * Begins to watch for a security group's rule for this destination port; the inner promise resolves when so many hosts have been
   * told of it, or with null when the time is over.
   */
  async watchRule(port: number, count: number, limitMs: number): Promise<() => Promise<RuleApplied | null>> {
    const watching = Promise.withResolvers<void>();
    const applied = Promise.withResolvers<RuleApplied | null>();
    const take = (report: AgentsReport): void => {
      if (report.done === 'watching') watching.resolve();
      if (report.done === 'rule-applied') applied.resolve(report);
      if (report.done === 'failed') applied.reject(new Error(report.reason));
    };
    this.#child.on('message', take);
    this.#child.send({ do: 'watch-rule', port, count } satisfies AgentsCommand);
    await watching.promise;
    return async () => {
      const timer = setTimeout(() => applied.resolve(null), limitMs);
      try {
        return await applied.promise;
      } finally {
        clearTimeout(timer);
        this.#child.off('message', take);
      }
    };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #until(done: 'joined' | 'connected', all: number, command: AgentsCommand, limitMs: number): Promise<Reached> {
    const { promise, resolve } = Promise.withResolvers<string | null>();
    let count = 0;
    const take = (report: AgentsReport): void => {
      if (report.done === 'failed') resolve(report.reason);
      if (report.done !== done) return;
      count = report.count;
      if (count === all) resolve(null);
    };
    const exit = (): void => resolve('the process with the agents ended');
    const timer = setTimeout(() => resolve(`the limit of ${limitMs} ms was hit`), limitMs);
    this.#child.on('message', take);
    this.#child.once('exit', exit);
    this.#child.send(command);
    const reason = await promise;
    clearTimeout(timer);
    this.#child.off('message', take);
    this.#child.off('exit', exit);
    return { count, reason };
  }
}
