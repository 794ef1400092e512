/**
 * IPMI 2.0 by Debian's `ipmitool`. The password goes through the environment (-E), so that it stands on no command line; of what
 * the tool says only its last lines go into a reason. The cipher suite is given, because asking the device for its list costs many
 * seconds with those that do not know the question: the strong one first, then the one that every device has.
 */
import { spawn } from 'node:child_process';
import type { PowerDriver, PowerOrder } from './device-driver.ts';
import type { FenceDevice } from './power-reading.ts';

/** Seconds that ipmitool waits for an answer, and how often it asks again: the caller's time limit comes later. */
const answerSeconds = 1;
const retries = 3;
/** 17: HMAC-SHA256 and AES; 3: HMAC-SHA1 and AES. */
const suites = ['17', '3'] as const;
const words = { off: 'off', on: 'on', 'shut-down': 'soft' } as const;
const suiteRefused = /invalid authentication algorithm|no matching cipher|cipher suite/i;

export class IpmiDriver implements PowerDriver {
  readonly #program: string;
  /** By device. */
  readonly #suites = new Map<string, string>();

  constructor(program = 'ipmitool') {
    this.#program = program;
  }

  async state(device: FenceDevice, signal: AbortSignal): Promise<'on' | 'off'> {
    const text = await this.#run(device, ['chassis', 'power', 'status'], signal);
    const state = /Chassis Power is (on|off)/.exec(text)?.[1];
    if (state === 'on' || state === 'off') return state;
    throw new Error('the device did not say whether its power is on');
  }

  async order(device: FenceDevice, action: PowerOrder, signal: AbortSignal): Promise<void> {
    await this.#run(device, ['chassis', 'power', words[action]], signal);
  }

  async #run(device: FenceDevice, words: readonly string[], signal: AbortSignal): Promise<string> {
    const known = this.#suites.get(device.id);
    for (const suite of known === undefined ? suites : [known]) {
      try {
        const text = await this.#runWith(suite, device, words, signal);
        this.#suites.set(device.id, suite);
        return text;
      } catch (error) {
        this.#suites.delete(device.id);
        if (suite === suites.at(-1) || !suiteRefused.test((error as Error).message)) throw error;
      }
    }
    throw new Error('the device and ipmitool have no cipher suite in common');
  }

  #runWith(suite: string, device: FenceDevice, words: readonly string[], signal: AbortSignal): Promise<string> {
    const args = [
      ...['-I', 'lanplus', '-H', device.address, '-p', String(device.port), '-U', device.userName, '-E'],
      ...['-C', suite, '-N', String(answerSeconds), '-R', String(retries), ...words],
    ];
    return new Promise((resolve, reject) => {
      const child = spawn(this.#program, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        signal,
        killSignal: 'SIGKILL',
        env: { PATH: process.env['PATH'], LC_ALL: 'C', IPMI_PASSWORD: device.password },
      });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.on('error', (error) =>
        reject(
          signal.aborted ? new Error('the device did not answer in time') : new Error(`ipmitool: ${error.message}`),
        ),
      );
      child.on('close', (code) => {
        if (code === 0) resolve(stdout);
        else
          reject(
            new Error(stderr.trim().split(/\n+/).slice(-2).join('; ') || `ipmitool ended with ${code ?? 'a signal'}`),
          );
      });
    });
  }
}
