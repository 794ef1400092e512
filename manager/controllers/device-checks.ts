/**
 * Reads the power devices of hosts that are heard: each has to read 'on' then. What follows from an answer stands in
 * `control/ha/device-trust.ts`.
 *
 * Reading changes nothing in the world, so it is done without a journal; what is written is about the device as it was asked, and
 * is dropped when somebody changed it meanwhile.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { isCheckDue, livesOnMs } from '@kvasir/control/ha/device-trust.ts';
import type { PowerReading } from '@kvasir/control/ha/fence-proof.ts';
import type { Store, Tx } from '../store/database.ts';
import { type FenceDeviceRow, fenceDevices } from '../store/fence-devices.ts';
import { hostHa } from '../store/host-ha.ts';
import { currentEpoch } from '../store/leader.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';
import { mistrustDevice, seenOn } from './device-mistrust.ts';
import { type Log, Rounds } from './rounds.ts';

export interface DeviceCheckSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly signals: Pick<HostSignals, 'lastHeartbeatMs'>;
  /** @throws KvasirError `fencing-failed` with the reason */
  readonly power: { powerState(deviceId: string, signal?: AbortSignal): Promise<PowerReading> };
  readonly epoch: () => number | undefined;
}

const everyMs = 5000;
/** A host that was heard within that time is heard. */
const heardWithinMs = 2500;
/** A process each, with IPMI. */
const atOnce = 4;

export function checkDevices(seams: DeviceCheckSeams, log: Log): Rounds {
  const round = (signal: AbortSignal) => checkDue(seams, signal);
  return new Rounds({ name: 'check of power devices', clock: seams.clock, everyMs, log, round });
}

async function checkDue(seams: DeviceCheckSeams, signal: AbortSignal): Promise<void> {
  const due = await dueDevices(seams);
  const workers = Array.from({ length: atOnce }, async () => {
    for (let row = due.shift(); row !== undefined && !signal.aborted; row = due.shift())
      await check(seams, row, signal);
  });
  await Promise.all(workers);
}

async function dueDevices({ store, clock, signals }: DeviceCheckSeams): Promise<FenceDeviceRow[]> {
  const { db } = store;
  const rows = await fenceDevices.select(db, {}, 'name');
  if (rows.length === 0) return [];
  const lost = (await hostHa.select(db)).filter(({ state }) => state !== 'running' && state !== 'maintenance');
  const now = clock.now();
  return rows.filter((row) => {
    const heardMs = signals.lastHeartbeatMs(row.hostId);
    if (heardMs === undefined || now - heardMs > heardWithinMs) return false;
    const others = lost.filter(({ hostId }) => hostId !== row.hostId);
    const lastLossMs = others.length === 0 ? null : Math.max(...others.map(({ since }) => since));
    const { checkedAt, seenOnAt, mistrustedBecause } = row;
    return isCheckDue({ checkedAtMs: checkedAt, seenOnAtMs: seenOnAt, mistrustedBecause }, lastLossMs, now);
  });
}

async function check(seams: DeviceCheckSeams, row: FenceDeviceRow, signal: AbortSignal): Promise<void> {
  const { clock, power, signals } = seams;
  const heard = (): number => signals.lastHeartbeatMs(row.hostId) ?? 0;
  try {
    const first = await power.powerState(row.id, signal);
    const isHeard = clock.now() - heard() <= heardWithinMs;
    if (first.state === 'on') {
      await write(seams, row, null, (tx, now) => (isHeard ? seenOn(tx, row, now) : Promise.resolve()));
      return;
    }
    // A host that has just lost its power was heard a moment ago, too.
    await clock.sleep(livesOnMs + heardWithinMs, signal);
    const livesOn = heard() >= first.confirmedAtMs + livesOnMs;
    const off = livesOn && (await power.powerState(row.id, signal)).state === 'off';
    const because = 'it reads off although its host is heard';
    await write(seams, row, null, (tx, now) => (off ? mistrustDevice(tx, row.id, because, now) : Promise.resolve()));
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof KvasirError)) throw error;
    await write(seams, row, error.message, () => Promise.resolve());
  }
}

async function write(
  { store, clock, epoch }: DeviceCheckSeams,
  { id, revision }: FenceDeviceRow,
  checkError: string | null,
  more: (tx: Tx, now: number) => Promise<void>,
): Promise<void> {
  await store.transaction(async (tx) => {
    const lead = epoch();
    if (lead === undefined || (await currentEpoch(tx)) !== lead) throw new KvasirError('not-leader');
    const now = clock.now();
    if ((await fenceDevices.set(tx, { id, revision }, { checkedAt: now, checkError })) > 0) await more(tx, now);
  });
}
