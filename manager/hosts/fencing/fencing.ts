/**
 * Host power by its devices. An order counts for nothing: what counts is the state that the device reads back afterwards, so
 * `powerOff` answers only once it said 'off', and everything else is an error that says what was wrong.
 *
 * A device that does not answer, or loses an answer, is asked again within the time allowed: asking twice is harmless.
 */
import type { PowerCut, PowerReading } from '@kvasir/control/ha/fence-proof.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { PowerDriver, PowerOrder } from './device-driver.ts';
import { IpmiDriver } from './ipmi.ts';
import type { FenceDevice, HostPower } from './power-reading.ts';
import { RedfishDriver } from './redfish.ts';

export interface FencingTimes {
  /** One question to a device. */
  readonly callMs: number;
  /** From the first order to the confirmed state. */
  readonly confirmMs: number;
  /** The same for an operating system that shuts down. */
  readonly shutDownMs: number;
  readonly pauseMs: number;
}

const defaultTimes: FencingTimes = { callMs: 8000, confirmMs: 30_000, shutDownMs: 120_000, pauseMs: 150 };

export class Fencing implements HostPower {
  readonly #clock: Clock;
  readonly #drivers: Readonly<Record<FenceDevice['kind'], PowerDriver>>;
  readonly #times: FencingTimes;

  constructor(
    clock: Clock,
    times: Partial<FencingTimes> = {},
    drivers?: Partial<Record<FenceDevice['kind'], PowerDriver>>,
  ) {
    this.#clock = clock;
    this.#times = { ...defaultTimes, ...times };
    this.#drivers = { ipmi: new IpmiDriver(), redfish: new RedfishDriver(), ...drivers };
  }

  async powerOff(device: FenceDevice, signal?: AbortSignal): Promise<PowerCut> {
    const { first, last } = await this.#reach(device, 'off', signal);
    return { ...last, state: 'off', before: first.state, readBeforeAtMs: first.confirmedAtMs };
  }

  async powerOn(device: FenceDevice, signal?: AbortSignal): Promise<PowerReading> {
    return (await this.#reach(device, 'on', signal)).last;
  }

  async shutDown(device: FenceDevice, signal?: AbortSignal): Promise<PowerReading> {
    return (await this.#reach(device, 'shut-down', signal)).last;
  }

  async powerState(device: FenceDevice, signal?: AbortSignal): Promise<PowerReading> {
    try {
      return this.#reading(
        device,
        await this.#call(signal, (limit) => this.#drivers[device.kind].state(device, limit)),
      );
    } catch (error) {
      throw failure(device, 'read', error);
    }
  }

  /** `first`: as it was before the order. A device that cannot say that could not confirm anything either, and is told nothing. */
  async #reach(
    device: FenceDevice,
    order: PowerOrder,
    signal?: AbortSignal,
  ): Promise<{ readonly first: PowerReading; readonly last: PowerReading }> {
    const driver = this.#drivers[device.kind];
    const wanted = order === 'on' ? 'on' : 'off';
    const pressesButton = order === 'shut-down';
    const beganMs = this.#clock.now();
    let first: PowerReading | undefined;
    let ordered = false;
    const isOver = (): boolean => {
      const { confirmMs, shutDownMs } = this.#times;
      return this.#clock.now() - beganMs >= (pressesButton && ordered ? shutDownMs : confirmMs);
    };
    let problem: unknown = new Error('it never answered');
    for (let attempt = 1; ; attempt += 1) {
      // Held up since the last try, this process may not be the one any more that decides about power: no order after that.
      if (attempt > 1 && isOver()) throw failure(device, verbs[order], problem);
      try {
        signal?.throwIfAborted();
        first ??= this.#reading(device, await this.#call(signal, (limit) => driver.state(device, limit)));
        if (pressesButton && first.state === 'off') return { first, last: first };
        if (!ordered) {
          // The read may have taken seconds, and nobody may want the order any more.
          signal?.throwIfAborted();
          if (isOver()) throw failure(device, verbs[order], problem);
          await this.#call(signal, (limit) => driver.order(device, order, limit));
          ordered = true;
        }
        const state = await this.#call(signal, (limit) => driver.state(device, limit));
        if (state === wanted) return { first, last: this.#reading(device, state) };
        problem = new Error(`the device says that it is ${state} still`);
        // An order that got lost on its way: every few looks it is given anew. Not so the button, which the system took, or will not.
        if (attempt % 10 === 0 && !pressesButton) ordered = false;
      } catch (error) {
        if (signal?.aborted === true) throw failure(device, verbs[order], signal.reason);
        problem = error;
      }
      if (isOver()) throw failure(device, verbs[order], problem);
      await this.#clock.sleep(this.#times.pauseMs * (problemIsSlow(attempt) ? 4 : 1), signal).catch(() => {});
    }
  }

  #call<T>(signal: AbortSignal | undefined, work: (limit: AbortSignal) => Promise<T>): Promise<T> {
    const timeout = AbortSignal.timeout(this.#times.callMs);
    return work(signal === undefined ? timeout : AbortSignal.any([timeout, signal]));
  }

  #reading(device: FenceDevice, state: 'on' | 'off'): PowerReading {
    return { state, deviceId: device.id, kind: device.kind, confirmedAtMs: this.#clock.now() };
  }
}

const verbs = { off: 'switched off', on: 'switched on', 'shut-down': 'shut down' } as const;

function problemIsSlow(attempt: number): boolean {
  return attempt > 10;
}

function failure(device: FenceDevice, action: string, cause: unknown): KvasirError {
  const reason = `${device.name}: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new KvasirError('fencing-failed', { host: device.hostName, action, reason }, undefined, { cause });
}
