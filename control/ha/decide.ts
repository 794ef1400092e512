/**
 * High availability of one cluster: from what is seen to what is done. Pure: the same snapshot and time give the same actions,
 * and a snapshot in which all that was decided has happened gives none.
 *
 * The order of things around a lost host takes several decisions, each on what the one before has written: an incident is opened
 * and the VMs that ran there are listed; the host is fenced; with the proof they are placed; then they start by priority.
 */
import type { HaAction, HaAlarm } from './actions.ts';
import { decideFencing } from './fencing.ts';
import { contradicts, doubtOf, judgeHost, type ManagerDoubt, type Verdict } from './host-state.ts';
import { decideRestarts, lostVms, type Verdicts } from './restart.ts';
import type { HaSnapshot, HostFacts, HostHaState } from './snapshot.ts';

const incidentStates: readonly HostHaState[] = [
  'dead',
  'fencing',
  'fenced',
  'management-isolated',
  'storage-lost',
  'network-lost',
  'hypervisor-lost',
];

const alarmOf: Partial<Record<HostHaState, HaAlarm>> = {
  dead: 'host-lost',
  fencing: 'host-lost',
  'management-isolated': 'host-isolated',
  'storage-lost': 'storage-lost',
  'network-lost': 'network-lost',
  'hypervisor-lost': 'hypervisor-lost',
};

export function decide(snapshot: HaSnapshot, now: number): HaAction[] {
  const doubt = doubtOf(snapshot, now);
  const verdicts = judge(snapshot, doubt, now);
  const actions: HaAction[] = [];
  if (doubt.suspectsItself !== snapshot.cluster.suspectsItself && !doubt.inGrace) {
    actions.push({ kind: 'suspect-self', suspects: doubt.suspectsItself, because: doubt.because });
  }
  for (const host of snapshot.hosts) {
    const verdict = verdicts.get(host.id);
    if (verdict !== undefined) actions.push(...aboutHost(host, verdict, snapshot, doubt, now));
  }
  // Also where it is off by now: what is open comes to its end.
  if (!doubt.inGrace) actions.push(...decideRestarts(snapshot, verdicts, now));
  return actions;
}

/** What is thought of each host; those that never joined are left out. */
function judge(snapshot: HaSnapshot, doubt: ManagerDoubt, now: number): Verdicts {
  const joined = snapshot.hosts.filter(({ state }) => state !== 'joining');
  return new Map(joined.map((host) => [host.id, judgeHost(host, snapshot, doubt, now)]));
}

function aboutHost(
  host: HostFacts,
  verdict: Verdict,
  snapshot: HaSnapshot,
  doubt: ManagerDoubt,
  now: number,
): HaAction[] {
  const { id: hostId, incident } = host;
  const { state, because } = verdict;
  const actions: HaAction[] = [];
  const bootId = verdict.heard ? host.liveness?.report.bootId : undefined;
  if (bootId !== undefined && bootId !== host.bootId) {
    const told = host.bootId === null ? 'its first report' : 'it was booted anew';
    actions.push({ kind: 'note-boot', hostId, bootId, because: told });
  }
  if (state !== host.ha.state) actions.push({ kind: 'set-state', hostId, state, because });
  if (host.proof !== null && contradicts(host)) {
    actions.push({ kind: 'end-proof', hostId, proofId: host.proof.id, because: 'its agent was heard after that' });
    return actions;
  }
  const troubled = incidentStates.includes(state);
  if (incident === null) {
    if (troubled) actions.push({ kind: 'open-incident', hostId, state, because });
    return actions;
  }
  const alarm = alarmOf[state];
  if (alarm !== undefined && !incident.alarms.includes(alarm)) {
    actions.push({ kind: 'alarm', code: alarm, hostId, incidentId: incident.id, because });
  }
  if (snapshot.cluster.policy.enabled && !doubt.inGrace) {
    const vms = lostVms(host, verdict, snapshot).map(({ id, guestAgent }) => ({ vmId: id, hadGuestAgent: guestAgent }));
    if (vms.length > 0) actions.push({ kind: 'list-restarts', hostId, incidentId: incident.id, vms, because });
  }
  actions.push(...decideFencing(host, verdict, snapshot, doubt, now));
  if (isOver(host, verdict, snapshot))
    actions.push({ kind: 'close-incident', hostId, incidentId: incident.id, because });
  return actions;
}

/** The host is well, and nothing of the incident is under way. */
function isOver({ incident }: HostFacts, { state }: Verdict, { vms }: HaSnapshot): boolean {
  if (state !== 'running' && state !== 'maintenance' && state !== 'standby') return false;
  return !vms.some(({ restart }) => restart !== null && restart.incidentId === incident?.id);
}
