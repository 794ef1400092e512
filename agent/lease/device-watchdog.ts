/**
 * The kernel's watchdog device: from its opening on it resets the host when nothing was written for its timeout, also after
 * the writer died. Only a 'V' before closing stops it.
 *
 * The timeout is set by `wdctl` before the device is opened and read back from the kernel; a device that is no real one
 * (the lab's) has its timeout in the configuration.
 */
import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { basename } from 'node:path';
import type { Watchdog } from './parts.ts';

export interface DeviceWatchdogOptions {
  readonly device: string;
  /** Of a stand-in that has a timeout of its own; null: a real device. */
  readonly fixedTimeoutMs: number | null;
  readonly log: (message: string) => void;
}

const setWithinMs = 5000;

export class DeviceWatchdog implements Watchdog {
  readonly #options: DeviceWatchdogOptions;
  #file: number | null = null;

  constructor(options: DeviceWatchdogOptions) {
    this.#options = options;
  }

  async arm(maxTimeoutMs: number): Promise<{ readonly timeoutMs: number } | null> {
    const { device, fixedTimeoutMs, log } = this.#options;
    const timeoutMs = fixedTimeoutMs ?? (await this.#setTimeout(Math.floor(maxTimeoutMs / 1000)));
    if (timeoutMs > maxTimeoutMs) {
      log(`the watchdog ${device} resets only after ${timeoutMs} ms, but it would have to within ${maxTimeoutMs} ms`);
      return null;
    }
    // O_NONBLOCK: a stand-in that nobody listens to is refused instead of waited for.
    this.#file = openSync(device, constants.O_WRONLY | constants.O_NONBLOCK);
    this.pet();
    return { timeoutMs };
  }

  pet(): void {
    this.#write('.');
  }

  disarm(): void {
    this.#write('V');
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #write(what: string): void {
    if (this.#file === null) return;
    try {
      writeSync(this.#file, what);
    } catch (error) {
      this.#options.log(`the watchdog could not be written to: ${String(error)}`);
    }
  }

  async #setTimeout(seconds: number): Promise<number> {
    const { device } = this.#options;
    if (seconds < 1) throw new Error('the lease is too short for a watchdog that counts in seconds');
    if (!statSync(device).isCharacterDevice()) throw new Error(`${device} is no device`);
    const name = basename(await realpath(device)).replace(/^watchdog$/, 'watchdog0');
    const kernelMs = async (): Promise<number> =>
      Number((await readFile(`/sys/class/watchdog/${name}/timeout`, 'utf8')).trim()) * 1000;
    // Setting it stops a watchdog that runs since the last keeper, so not without need.
    const nowMs = await kernelMs();
    if (nowMs <= seconds * 1000) return nowMs;
    await new Promise<void>((resolve, reject) => {
      execFile('wdctl', ['--settimeout', String(seconds), device], { timeout: setWithinMs }, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    return kernelMs();
  }
}
