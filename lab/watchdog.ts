/**
 * A lab host's stand-in for a hardware watchdog: a pipe. The first byte arms it, each further one pets it, a 'V' stops it; a host that
 * booted anew has a watchdog that is off. Time without petting counts from when the bytes are read, so a lab that is
 * held up itself resets nobody.
 */
import { closeSync, constants, existsSync, openSync, readSync } from 'node:fs';
import { run } from './command.ts';
import { watchdogPipe, watchdogTimeoutMs } from './bmc.ts';
import type { LabHost } from './host.ts';
import { isRunning, type ProcessIdentity } from './processes.ts';

const magicClose = 'V'.charCodeAt(0);

export class LabWatchdog {
  readonly #host: LabHost;
  #file: number | null = null;
  #init: ProcessIdentity | undefined;
  #armed = false;
  #pettedMs = 0;
  readonly #buffer = Buffer.alloc(4096);

  constructor(host: LabHost) {
    this.#host = host;
  }

  get isArmed(): boolean {
    return this.#armed;
  }

  async open(): Promise<void> {
    const path = watchdogPipe(this.#host.layout);
    if (!existsSync(path)) await run(['mkfifo', '-m', '600', path]);
    // Both ends are held, so that reading never finds an end.
    this.#file = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  /** Whether its time is over: the host has to be reset. */
  look(): boolean {
    const last = this.#read();
    if (!isRunning(this.#init)) {
      this.#init = this.#host.init();
      this.#armed = false;
      if (this.#init === undefined) return false;
    }
    if (last === undefined) return this.#armed && performance.now() - this.#pettedMs > watchdogTimeoutMs;
    this.#armed = last !== magicClose;
    this.#pettedMs = performance.now();
    return false;
  }

  /** Off until the next byte. */
  reset(): void {
    this.#armed = false;
  }

  /** The last byte that waits in the pipe. */
  #read(): number | undefined {
    let last: number | undefined;
    for (;;) {
      let count: number;
      try {
        count = readSync(this.#file!, this.#buffer);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return last;
        throw error;
      }
      if (count === 0) return last;
      last = this.#buffer[count - 1];
    }
  }
}
