/** Power by the rows of fence devices: finds the row, opens its password, asks the device. The same shape as `tasks/power-control.ts`. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { PowerCut, PowerReading } from '@kvasir/control/ha/fence-proof.ts';
import type { SecretBox } from '../../secret-box.ts';
import type { Store } from '../../store/database.ts';
import { fenceDevices } from '../../store/fence-devices.ts';
import { hosts } from '../../store/hosts.ts';
import type { FenceDevice, HostPower } from './power-reading.ts';

export class DevicePower {
  readonly #store: Store;
  readonly #secrets: SecretBox;
  readonly #power: HostPower;

  constructor(store: Store, secrets: SecretBox, power: HostPower) {
    this.#store = store;
    this.#secrets = secrets;
    this.#power = power;
  }

  async powerState(deviceId: string, signal?: AbortSignal): Promise<PowerReading> {
    return this.#power.powerState(await this.#device(deviceId), signal);
  }

  async powerOn(deviceId: string, signal?: AbortSignal): Promise<PowerReading> {
    return this.#power.powerOn(await this.#device(deviceId), signal);
  }

  async shutDown(deviceId: string, signal?: AbortSignal): Promise<PowerReading> {
    return this.#power.shutDown(await this.#device(deviceId), signal);
  }

  async powerOff(deviceId: string, signal?: AbortSignal): Promise<PowerCut> {
    return this.#power.powerOff(await this.#device(deviceId), signal);
  }

  async #device(id: string): Promise<FenceDevice> {
    const row = await fenceDevices.find(this.#store.db, { id });
    if (row === undefined) throw new KvasirError('not-found', { kind: fenceDevices.kind, id });
    const hostName = (await hosts.find(this.#store.db, { id: row.hostId }))?.name ?? row.hostId;
    const { hostId, name, kind, address, port, userName, certificateFingerprint, systemPath, position } = row;
    let password: string;
    try {
      password = this.#secrets.unseal(row.sealedPassword, id);
    } catch (error) {
      const reason = `${name}: its password cannot be opened: ${(error as Error).message}`;
      throw new KvasirError('fencing-failed', { host: hostName, action: 'asked for', reason }, undefined, {
        cause: error,
      });
    }
    return {
      ...{ id, hostId, hostName, name, kind, address, port, userName, password },
      ...{ certificateFingerprint, systemPath, position },
    };
  }
}
