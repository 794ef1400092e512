/**
 * Whether a confirmed power-off is about the host at all. The device may be wired to another machine: to one that was off anyway,
 * to a spare one, or to another host of the cluster.
 *
 * Invariants: nothing else makes a `PowerOffEvidence`, and `powerOffProof` takes nothing else. It needs a device that is believed
 * (`device-trust.ts`); power that was on before the order, or else a device that read 'on' shortly before the host was lost; no
 * sign of life from after the power-off; and no other host that fell silent by the order. What can only be known in a moment is
 * waited for.
 */
import { reasonAgainstDevice } from './device-trust.ts';
import type { PowerCut } from './fence-proof.ts';
import { seconds } from './host-state.ts';
import { lastSignOfLife, silenceOf } from './signals.ts';
import type { HaSnapshot, HostFacts } from './snapshot.ts';

declare const judged: unique symbol;
export interface PowerOffEvidence {
  readonly cut: PowerCut;
  readonly inWords: string;
  readonly [judged]: true;
}

export type PowerJudgement =
  | { readonly evidence: PowerOffEvidence }
  /** `mistrust`: the device is shown to control another machine. */
  | { readonly missing: string; readonly mistrust?: true }
  | { readonly waitFor: string };

/** A host of another cluster: a device may be wired to any machine. */
export type HeardHost = Pick<HostFacts, 'name' | 'lastHeartbeatMs'>;

/** A device whose power was off before it was told has to have read 'on' at most so long before the host was lost. */
const recentlyOnMs = 900_000;
/** What others saw last before the power went may be told, and noticed, so long after that. */
const settledMs = 2500;
/** A host that lives renews and answers each second: a report from so long after shows it. */
const showsMs = 2000;
/** Whether a host that was seen by others fell silent has to be known by then. */
const waitAtMostMs = 15_000;

export function judgePowerOff(
  host: HostFacts,
  cut: PowerCut,
  snapshot: HaSnapshot,
  now: number,
  elsewhere: readonly HeardHost[],
): PowerJudgement {
  const device = host.fenceDevices.find(({ id }) => id === cut.deviceId);
  if (device === undefined) return { missing: 'its device is not registered for it any more' };
  const against = reasonAgainstDevice(device);
  if (against !== undefined) return { missing: against };
  if (host.state === 'up' || (host.lastHeartbeatMs ?? 0) > cut.confirmedAtMs) {
    return { missing: 'the host was heard after its device said that it is off' };
  }
  if (cut.before === 'on') return byOrder(host, cut, snapshot, now, elsewhere);
  if (host.incident === null) return { missing: 'it is not lost any more' };
  // An incident may be open since an earlier loss.
  const lostAtMs = Math.max(host.incident.openedAtMs, host.lastHeartbeatMs ?? 0);
  const ageMs = lostAtMs - device.seenOnAtMs!;
  if (ageMs > recentlyOnMs) {
    const words = `its device read off before it was told, and last read on ${seconds(ageMs)} before the host was lost`;
    return { missing: `${words}: it may be that of another machine` };
  }
  return bySigns(host, cut, snapshot, now, `it read on until the host was lost`);
}

/** The order cut something that was on: not another host. */
function byOrder(
  host: HostFacts,
  cut: PowerCut,
  snapshot: HaSnapshot,
  now: number,
  elsewhere: readonly HeardHost[],
): PowerJudgement {
  const { suspectAfterMs } = snapshot.cluster.policy;
  for (const other of [...snapshot.hosts.filter(({ id }) => id !== host.id), ...elsewhere]) {
    const heardMs = other.lastHeartbeatMs;
    if (heardMs === null || heardMs > cut.confirmedAtMs) continue;
    if (heardMs < cut.readBeforeAtMs - suspectAfterMs) continue;
    if (silenceOf(other, snapshot, now) < suspectAfterMs) return { waitFor: `a word of ${other.name}` };
    return { missing: `${other.name} fell silent when the device was told to switch ${host.name} off`, mistrust: true };
  }
  return bySigns(host, cut, snapshot, now, 'it was on before, and no other host fell silent by that');
}

/** Nobody saw the host live on. */
function bySigns(host: HostFacts, cut: PowerCut, snapshot: HaSnapshot, now: number, inWords: string): PowerJudgement {
  const { suspectAfterMs } = snapshot.cluster.policy;
  const { signMs, reportMs } = lastSignOfLife(host, snapshot, now);
  const settledAtMs = cut.confirmedAtMs + settledMs;
  if (signMs > settledAtMs) return { missing: 'other hosts see it live on after its device said that it is off' };
  const wasSilent = signMs < cut.readBeforeAtMs - suspectAfterMs;
  if (wasSilent || reportMs > settledAtMs + showsMs) return { evidence: evidence(cut, inWords) };
  if (now > settledAtMs + waitAtMostMs) return { missing: 'nobody could tell whether it fell silent' };
  return { waitFor: 'a report of its silence' };
}

function evidence(cut: PowerCut, inWords: string): PowerOffEvidence {
  return { cut, inWords } as PowerOffEvidence;
}
