/** Power devices of hosts in memory: what they do to a host shows in its row at once. Calls count, get lost and fail as those to hosts. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { PowerCut, PowerReading } from '@kvasir/control/ha/fence-proof.ts';
import type { PowerOrder } from '../hosts/fencing/device-driver.ts';
import type { Store } from '../store/database.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { hosts } from '../store/hosts.ts';
import type { PowerControl } from '../tasks/power-control.ts';
import type { FakeHosts } from './fake-hosts.ts';

export class FakePower implements PowerControl {
  readonly #store: Store;
  readonly #hosts: FakeHosts;
  /** Says that it is off, and is not. */
  lies = false;
  /** Its operating system does not care for the button. */
  ignoresButton = false;
  /** Its operating system shuts down for ever; called when that begins. */
  hangs: (() => Promise<void>) | null = null;
  /** Switched on it comes up. */
  boots = true;

  constructor(store: Store, fakes: FakeHosts) {
    this.#store = store;
    this.#hosts = fakes;
  }

  async powerState(deviceId: string): Promise<PowerReading> {
    const hostId = await this.#hostOf(deviceId);
    const { state } = await hosts.get(this.#store.db, hostId);
    return await this.#hosts.fated(hostId, 'power.state', {}, () => reading(deviceId, state === 'up' ? 'on' : 'off'));
  }

  async powerOn(deviceId: string): Promise<PowerReading> {
    return await this.#turn(deviceId, 'on', this.boots ? 'up' : undefined);
  }

  async shutDown(deviceId: string, signal?: AbortSignal): Promise<PowerReading> {
    await this.#requireEmpty(deviceId, 'shut down');
    if (this.hangs !== null) {
      await this.hangs();
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
    }
    if (!this.ignoresButton) return await this.#turn(deviceId, 'shut-down', this.lies ? undefined : 'down');
    const host = await this.#hostOf(deviceId);
    throw new KvasirError('fencing-failed', { host, action: 'shut down', reason: 'it is on still' });
  }

  async powerOff(deviceId: string): Promise<PowerCut> {
    await this.#requireEmpty(deviceId, 'cut');
    const done = await this.#turn(deviceId, 'off', this.lies ? undefined : 'down');
    return { ...done, state: 'off', before: 'on', readBeforeAtMs: 1 };
  }

  async #requireEmpty(deviceId: string, what: string): Promise<void> {
    const { domains } = this.#hosts.host(await this.#hostOf(deviceId));
    const running = [...domains].filter(([, { state }]) => state !== 'stopped');
    if (running.length > 0) this.#hosts.violate(`a host was to be ${what} with ${running.length} VM(s) on it`);
  }

  async #turn(deviceId: string, power: PowerOrder, state: 'up' | 'down' | undefined): Promise<PowerReading> {
    const id = await this.#hostOf(deviceId);
    const work = this.#hosts.fated(id, `power.${power}`, {}, async () => {
      if (state !== undefined) await this.#store.transaction((tx) => hosts.set(tx, { id }, { state }));
      return reading(deviceId, power === 'on' ? 'on' : 'off');
    });
    return await work;
  }

  async #hostOf(deviceId: string): Promise<string> {
    return (await fenceDevices.get(this.#store.db, deviceId)).hostId;
  }
}

function reading(deviceId: string, state: 'on' | 'off'): PowerReading {
  return { deviceId, state, kind: 'ipmi', confirmedAtMs: 1 };
}
