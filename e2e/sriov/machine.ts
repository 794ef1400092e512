/** A QEMU with its monitor (QMP) and its console: what they say is kept in one order, with the time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Unpacked } from './packages.ts';

export interface Heard {
  readonly atMs: number;
  /** `MIGRATION active`, `RESUME`, or a line of the console. */
  readonly words: string;
}

const patienceMs = 90_000;

export class Machine {
  readonly heard: Heard[] = [];
  readonly #child: ChildProcess;
  readonly #socketPath: string;
  readonly #answers: ((answer: { readonly error?: unknown }) => void)[] = [];
  #monitor: Socket | undefined;

  constructor({ qemu }: Unpacked, socketPath: string, args: readonly string[]) {
    const share = join(qemu, 'usr/share');
    this.#socketPath = socketPath;
    this.#child = spawn(
      join(qemu, 'usr/bin/qemu-system-x86_64'),
      [
        ...['-L', join(share, 'qemu'), '-L', join(share, 'seabios'), '-display', 'none', '-serial', 'stdio'],
        ...['-qmp', `unix:${socketPath},server=on,wait=off`, ...args],
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, QEMU_MODULE_DIR: join(qemu, 'usr/lib/x86_64-linux-gnu/qemu') },
      },
    );
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const line of lines) this.#hear(line);
    });
  }

  async open(): Promise<void> {
    for (const end = Date.now() + 20_000; ; ) {
      const socket = connect(this.#socketPath);
      const opened = await once(socket, 'connect').then(
        () => true,
        () => false,
      );
      if (opened) {
        this.#monitor = socket;
        break;
      }
      if (Date.now() > end) throw new Error('QEMU has no monitor');
      await pause(50);
    }
    let rest = '';
    this.#monitor.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line) as Message);
    });
    await this.ask('qmp_capabilities');
  }

  /** @throws when QEMU refuses */
  async ask(execute: string, args: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<{ readonly error?: unknown }>();
    this.#answers.push(resolve);
    this.#monitor?.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    const { error } = await promise;
    if (error !== undefined) throw new Error(`${execute}: ${JSON.stringify(error)}`);
  }

  /** The first of these words that is heard from `since` on. */
  async hears(words: string, since = 0): Promise<Heard> {
    for (const end = Date.now() + patienceMs; Date.now() < end; await pause(20)) {
      const found = this.heard.slice(since).find((each) => each.words === words);
      if (found !== undefined) return found;
      if (this.#child.exitCode !== null) break;
    }
    throw new Error(`no ${words} among ${this.heard.map((each) => each.words).join(', ')}`);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  #take(message: Message): void {
    if (message.event !== undefined) {
      const status = message.data?.status;
      this.#hear(typeof status === 'string' ? `${message.event} ${status}` : message.event);
    } else if (message.QMP === undefined) this.#answers.shift()?.(message);
  }

  #hear(words: string): void {
    this.heard.push({ atMs: performance.now(), words });
  }
}

interface Message {
  readonly QMP?: unknown;
  readonly event?: string;
  readonly data?: { readonly status?: unknown };
  readonly error?: unknown;
}
