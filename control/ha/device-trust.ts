/**
 * Whether a power device may be believed: it may be wired to another machine than the host that it is registered for, and then
 * its 'off' says nothing of that host.
 *
 * Invariants: a device is believed only after it read 'on' while its host was heard; one that reads 'off' while its host is heard
 * is mistrusted until it has read 'on' again in that way. Reading 'on' does not prove the wiring, for both machines may be on: so
 * all devices are read again as soon as any host is lost, of whichever cluster.
 */

export interface DeviceTrust {
  /** When it last read 'on' while its host was heard; null: never. */
  readonly seenOnAtMs: number | null;
  readonly mistrustedBecause: string | null;
}

export interface CheckedDevice extends DeviceTrust {
  readonly checkedAtMs: number | null;
}

/** A device of which all is known is read so often; one that is new, silent or mistrusted more often. */
export const checkEveryMs = 300_000;
const recheckEveryMs = 10_000;
/** A host that is heard so long after its device said 'off' did not lose its power then: that was no word on its way. */
export const livesOnMs = 3000;

/** Why its word counts for nothing; undefined: it counts. */
export function reasonAgainstDevice({ seenOnAtMs, mistrustedBecause }: DeviceTrust): string | undefined {
  if (mistrustedBecause !== null) return `its device is mistrusted: ${mistrustedBecause}`;
  if (seenOnAtMs === null) return 'its device has never read on while the host was heard, so its wiring is not known';
  return undefined;
}

/** `lastLossMs`: when another host was last lost. */
export function isCheckDue(device: CheckedDevice, lastLossMs: number | null, now: number): boolean {
  const { checkedAtMs } = device;
  // From the future: the clock was set back since.
  if (checkedAtMs === null || checkedAtMs > now) return true;
  const unsettled = reasonAgainstDevice(device) !== undefined || (lastLossMs !== null && lastLossMs >= checkedAtMs);
  return now - checkedAtMs >= (unsettled ? recheckEveryMs : checkEveryMs);
}
