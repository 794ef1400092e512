/** Power devices of hosts in memory: what they do to a host shows in its row at once. Calls count, get lost and fail as those to hosts. */
import type { PowerCut, PowerReading } from '@kvasir/control/ha/fence-proof.ts';
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

  async powerOff(deviceId: string): Promise<PowerCut> {
    const hostId = await this.#hostOf(deviceId);
    const running = [...this.#hosts.host(hostId).domains].filter(([, { state }]) => state !== 'stopped');
    if (running.length > 0) this.#hosts.violate(`the power of a host was cut with ${running.length} VM(s) on it`);
    const done = await this.#turn(deviceId, 'off', this.lies ? undefined : 'down');
    return { ...done, state: 'off', before: 'on', readBeforeAtMs: 1 };
  }

  async #turn(deviceId: string, power: 'on' | 'off', state: 'up' | 'down' | undefined): Promise<PowerReading> {
    const id = await this.#hostOf(deviceId);
    const work = this.#hosts.fated(id, `power.${power}`, {}, async () => {
      if (state !== undefined) await this.#store.transaction((tx) => hosts.set(tx, { id }, { state }));
      return reading(deviceId, power);
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
