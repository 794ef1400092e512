/** Writes down that a power device is wired to another machine than its host, and that it is believed again. An alarm, once. */
import type { Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { type FenceDeviceRow, fenceDevices } from '../store/fence-devices.ts';
import { hosts } from '../store/hosts.ts';

export async function mistrustDevice(tx: Tx, deviceId: string, because: string, now: number): Promise<void> {
  const row = await fenceDevices.find(tx, { id: deviceId });
  if (row === undefined || row.mistrustedBecause !== null) return;
  await fenceDevices.set(tx, { id: row.id }, { mistrustedBecause: because });
  const words = `Power device ${row.name} is mistrusted: ${because}. It may be wired to another machine than ${await hostName(tx, row)}`;
  const message = `${words}, and proves nothing until it reads on again while that host is heard`;
  await appendEvent(tx, { at: now, kind: 'fence-device.mistrusted', severity: 'error', message, target: target(row) });
}

/** It read 'on' while its host was heard. */
export async function seenOn(tx: Tx, row: FenceDeviceRow, now: number): Promise<void> {
  await fenceDevices.set(tx, { id: row.id }, { seenOnAt: now, mistrustedBecause: null });
  if (row.mistrustedBecause === null) return;
  const message = `Power device ${row.name} is believed again: it reads on while ${await hostName(tx, row)} is heard`;
  await appendEvent(tx, { at: now, kind: 'fence-device.trusted', severity: 'info', message, target: target(row) });
}

async function hostName(tx: Tx, { hostId }: FenceDeviceRow): Promise<string> {
  return (await hosts.find(tx, { id: hostId }))?.name ?? hostId;
}

function target({ id, name }: FenceDeviceRow) {
  return { kind: 'fenceDevice', id, name };
}
