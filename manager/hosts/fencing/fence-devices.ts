/** The devices of a host with their passwords opened, in the order in which they are tried. */
import type { SecretBox } from '../../secret-box.ts';
import type { Store } from '../../store/database.ts';
import { type FenceDeviceRow, fenceDevices } from '../../store/fence-devices.ts';
import { hosts } from '../../store/hosts.ts';
import type { FenceDevice } from './power-reading.ts';

/** @throws Error when the password cannot be opened */
export function openDevice(row: FenceDeviceRow, hostName: string, secrets: SecretBox): FenceDevice {
  const { id, hostId, name, kind, address, port, userName, certificateFingerprint, systemPath, position } = row;
  const password = secrets.unseal(row.sealedPassword, id);
  return {
    ...{ id, hostId, hostName, name, kind, address, port, userName, password },
    ...{ certificateFingerprint, systemPath, position },
  };
}

/** None for a host without devices. */
export async function devicesOf(store: Store, secrets: SecretBox, hostId: string): Promise<readonly FenceDevice[]> {
  const rows = await fenceDevices.select(store.db, { hostId }, 'position');
  if (rows.length === 0) return [];
  const host = await hosts.find(store.db, { id: hostId });
  return rows.map((row) => openDevice(row, host?.name ?? hostId, secrets));
}
