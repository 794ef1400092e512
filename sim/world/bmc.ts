/**
 * The power devices of a world's hosts, below the real fencing: each takes orders and says what the power is, with delays, lost
 * answers, refusals, or not at all. Orders that have arrived take effect whatever becomes of who gave them.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { PowerControl } from '@kvasir/manager/tasks/power-control.ts';
import type { PowerDriver } from '@kvasir/manager/hosts/fencing/device-driver.ts';
import { Fencing } from '@kvasir/manager/hosts/fencing/fencing.ts';
import type { FenceDevice } from '@kvasir/manager/hosts/fencing/power-reading.ts';
import type { Life } from './life.ts';
import type { VirtualClock } from './virtual-clock.ts';

/**
 * - `works`: takes an order within a moment
 * - `slow`: takes seconds for everything
 * - `loses-answers`: does what it is told, but no answer ever arrives
 * - `refuses`: says no
 * - `dead`: neither does nor says anything
 */
export type BmcMode = 'works' | 'slow' | 'loses-answers' | 'refuses' | 'dead';

export interface Bmc {
  readonly deviceId: string;
  /** The host that it is registered for. */
  readonly hostId: string;
  /** The machine that it controls; null: one that is off and no host. */
  readonly wiredTo: string | null;
  mode: BmcMode;
}

export interface PoweredHosts {
  isOn(hostId: string): boolean;
  switchOn(hostId: string): void;
  /** Its power button is pressed: the operating system shuts down, in its time or not at all. */
  pressButton(hostId: string, bmc: Bmc): void;
  /** The device cuts the power now. */
  cutPower(hostId: string, bmc: Bmc): void;
}

const callMs = 8000;

export class Bmcs {
  readonly #clock: VirtualClock;
  readonly #hosts: PoweredHosts;
  readonly #between: (from: number, to: number) => number;
  readonly #devices = new Map<string, Bmc>();

  constructor(clock: VirtualClock, hosts: PoweredHosts, between: (from: number, to: number) => number) {
    this.#clock = clock;
    this.#hosts = hosts;
    this.#between = between;
  }

  add(bmc: Bmc): void {
    this.#devices.set(bmc.deviceId, bmc);
  }

  rewire(hostId: string, wiredTo: string | null): void {
    for (const [id, bmc] of this.#devices) if (bmc.hostId === hostId) this.#devices.set(id, { ...bmc, wiredTo });
  }

  ofHost(hostId: string): Bmc | undefined {
    return [...this.#devices.values()].find((bmc) => bmc.hostId === hostId);
  }

  /** What the controllers of a manager's process are given: the real fencing over these devices, which dies with the process. */
  power(life: Life): PowerControl {
    const driver = life.holds(this.#driver());
    const fencing = new Fencing(life.clock(this.#clock), {}, { ipmi: driver, redfish: driver });
    return {
      powerState: async (deviceId, signal) => await fencing.powerState(this.#described(deviceId), signal),
      powerOn: async (deviceId, signal) => await fencing.powerOn(this.#described(deviceId), signal),
      shutDown: async (deviceId, signal) => await fencing.shutDown(this.#described(deviceId), signal),
      powerOff: async (deviceId, signal) => await fencing.powerOff(this.#described(deviceId), signal),
    };
  }

  #described(deviceId: string): FenceDevice {
    const bmc = this.#devices.get(deviceId);
    if (bmc === undefined) throw new KvasirError('not-found', { kind: 'fence device', id: deviceId });
    const place = { address: '', port: 623, userName: '', password: '', position: 0 };
    const more = { certificateFingerprint: null, systemPath: null };
    const device = { id: deviceId, hostId: bmc.hostId, hostName: bmc.hostId, name: 'bmc', kind: 'ipmi' } as const;
    return { ...device, ...place, ...more };
  }

  #driver(): PowerDriver {
    return {
      state: (device, signal) =>
        this.#ask(device.id, signal, ({ wiredTo }) => (wiredTo !== null && this.#hosts.isOn(wiredTo) ? 'on' : 'off')),
      order: (device, order, limit) =>
        this.#ask(device.id, limit, (bmc) => {
          if (bmc.wiredTo === null) return;
          if (order === 'off') this.#hosts.cutPower(bmc.wiredTo, bmc);
          else if (order === 'on') this.#hosts.switchOn(bmc.wiredTo);
          else this.#hosts.pressButton(bmc.wiredTo, bmc);
        }),
    };
  }

  async #ask<T>(deviceId: string, signal: AbortSignal, work: (bmc: Bmc) => T): Promise<T> {
    const bmc = this.#devices.get(deviceId)!;
    const { mode } = bmc;
    if (mode === 'dead') return await this.#noAnswer(signal);
    const delayMs = mode === 'slow' ? this.#between(1000, 6000) : this.#between(20, 200);
    // The order is on its way: who gave it may die meanwhile.
    const result = Promise.withResolvers<T>();
    this.#clock.after(delayMs, () => {
      if (mode === 'refuses') result.reject(new Error('insufficient privilege level'));
      else result.resolve(work(bmc));
    });
    const answer = await result.promise;
    return mode === 'loses-answers' ? await this.#noAnswer(signal) : answer;
  }

  async #noAnswer(signal: AbortSignal): Promise<never> {
    await this.#clock.sleep(callMs, signal);
    throw new Error('it does not answer');
  }
}
