/** `PoolIo` by a child process for each pool. A child that hangs blocks nobody else; one that died is started again at the next call. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { NothingWrittenError, type PoolIo, type PoolPlace } from './parts.ts';
import type { ExchangeAnswer, ExchangeRequest } from './pool-child.ts';
import type { LeaseRecord, Slot } from './record.ts';

interface Waiting {
  readonly id: number;
  readonly resolve: (slots: readonly Slot[]) => void;
  readonly reject: (error: Error) => void;
}

export class ChildPoolIo implements PoolIo {
  readonly #place: PoolPlace;
  #child: ChildProcess | null = null;
  #waiting: Waiting | null = null;
  #lastId = 0;
  #closed = false;

  constructor(place: PoolPlace) {
    this.#place = place;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  exchange(
    own: { readonly slot: number; readonly record: LeaseRecord } | null,
    read: readonly number[],
  ): Promise<readonly Slot[]> {
    if (this.#closed || this.#waiting !== null) {
      return Promise.reject(new NothingWrittenError('the storage of the lease is not free', false));
    }
    const request: ExchangeRequest = { id: ++this.#lastId, own, read };
    return new Promise((resolve, reject) => {
      const child = this.#child ?? this.#start();
      this.#waiting = { id: request.id, resolve, reject };
      child.send(request, (error) => {
        if (error !== null) this.#settle(request.id, (waiting) => waiting.reject(error));
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#child?.kill('SIGKILL');
    const waiting = this.#waiting;
    if (waiting !== null) this.#settle(waiting.id, ({ reject }) => reject(new Error('the keeper let go of the pool')));
  }

  #start(): ChildProcess {
    const { path, poolId } = this.#place;
    const child = fork(join(import.meta.dirname, 'pool-child.ts'), [path, poolId], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { PATH: process.env['PATH'] },
    });
    this.#child = child;
    child.on('message', (message) => this.#answered(message as ExchangeAnswer));
    child.on('error', () => this.#gone(child));
    child.on('exit', () => this.#gone(child));
    return child;
  }

  #gone(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = null;
    const waiting = this.#waiting;
    if (waiting !== null) this.#settle(waiting.id, ({ reject }) => reject(new Error('the process of the lease died')));
  }

  #answered(answer: ExchangeAnswer): void {
    this.#settle(answer.id, ({ resolve, reject }) => {
      if ('slots' in answer) resolve(answer.slots);
      else if (answer.nothingWritten) reject(new NothingWrittenError(answer.error, answer.isUnsupported));
      else reject(new Error(answer.error));
    });
  }

  #settle(id: number, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting;
    if (waiting?.id !== id) return;
    this.#waiting = null;
    how(waiting);
  }
}
