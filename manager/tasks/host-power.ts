/** The power of a host by whichever of its devices does it, tried in their order. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { PowerReading } from '@kvasir/control/ha/fence-proof.ts';
import type { Executor } from '../store/database.ts';
import { type FenceDeviceRow, fenceDevices } from '../store/fence-devices.ts';
import type { HostRow } from '../store/hosts.ts';

export interface PowerDone {
  readonly device: FenceDeviceRow;
  readonly reading: PowerReading;
}

/** `action`: for the error, "switched off". @throws fencing-failed: none did, or there is none; what the last one said */
export async function byAnyDevice(
  db: Executor,
  host: Pick<HostRow, 'id' | 'name'>,
  action: string,
  work: (deviceId: string) => Promise<PowerReading>,
): Promise<PowerDone> {
  const devices = await fenceDevices.select(db, { hostId: host.id }, 'position');
  let last: unknown = new KvasirError('fencing-failed', { host: host.name, action, reason: 'it has no fence device' });
  for (const device of devices) {
    try {
      return { device, reading: await work(device.id) };
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
