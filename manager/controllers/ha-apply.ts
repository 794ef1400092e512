/**
 * Carries out what was decided about one cluster, in the transaction in which it was decided, and answers which power-offs are to
 * be asked for once that has been committed.
 */
import type { HaAction } from '@kvasir/control/ha/actions.ts';
import { fenceAttempts, haIncidents } from '../store/ha-incidents.ts';
import { endProofs, recordProof } from '../store/fence-proofs.ts';
import { setClusterHa } from '../store/ha-settings.ts';
import { setHostHa } from '../store/host-ha.ts';
import {
  booting,
  endRestart,
  failRestart,
  listRestarts,
  place,
  type RestartSeams,
  type RestartWrite,
  restart,
  retry,
} from './ha-restarts.ts';

/** Asked for after the commit: what was asked for and not written down would be forgotten. */
export interface PowerOff {
  readonly attemptId: string;
  readonly hostId: string;
  readonly incidentId: string;
  readonly deviceId: string;
}

export async function applyAll(
  write: RestartWrite,
  seams: RestartSeams,
  actions: readonly HaAction[],
): Promise<PowerOff[]> {
  const powerOffs: PowerOff[] = [];
  for (const action of actions) {
    const powerOff = await apply(write, seams, action);
    if (powerOff !== undefined) powerOffs.push(powerOff);
  }
  await write.telling.write();
  return powerOffs;
}

async function apply(write: RestartWrite, seams: RestartSeams, action: HaAction): Promise<PowerOff | undefined> {
  switch (action.kind) {
    case 'list-restarts':
      await listRestarts(write, seams, action);
      return undefined;
    case 'place':
      await place(write, seams, action);
      return undefined;
    case 'restart':
      await restart(write, seams, action);
      return undefined;
    case 'retry':
      await retry(write, action);
      return undefined;
    case 'booting':
      await booting(write, action);
      return undefined;
    case 'end-restart':
      await endRestart(write, action);
      return undefined;
    case 'fail-restart':
      await failRestart(write, action);
      return undefined;
    default:
      return await aboutHosts(write, seams, action);
  }
}

type HostAction = Exclude<
  HaAction,
  {
    readonly kind: 'list-restarts' | 'place' | 'restart' | 'retry' | 'booting' | 'end-restart' | 'fail-restart';
  }
>;

async function aboutHosts(
  { tx, snapshot, now, telling }: RestartWrite,
  { ids }: RestartSeams,
  action: HostAction,
): Promise<PowerOff | undefined> {
  switch (action.kind) {
    case 'suspect-self': {
      await setClusterHa(tx, snapshot.cluster.id, { suspectsItself: action.suspects });
      const { id, name } = snapshot.cluster;
      await telling.event({
        kind: action.suspects ? 'ha.manager-suspects-itself' : 'ha.manager-trusts-itself',
        severity: action.suspects ? 'error' : 'info',
        message: action.suspects ? `Nothing is fenced in cluster ${name}: ${action.because}` : action.because,
        target: { kind: 'cluster', id, name },
      });
      return undefined;
    }
    case 'note-boot':
      await setHostHa(tx, action.hostId, { bootId: action.bootId });
      return undefined;
    case 'set-state': {
      const { name, incident } = telling.host(action.hostId);
      await setHostHa(tx, action.hostId, { state: action.state, because: action.because, since: now });
      telling.entry(incident?.id, { kind: 'seen', message: `${name} is ${action.state}`, because: action.because });
      // Well again, it may be lost again before all is over, and that is to be told.
      const well = action.state === 'running' ? { alarms: [] } : {};
      if (incident !== null) await haIncidents.set(tx, { id: incident.id }, { state: action.state, ...well });
      const text = `Host ${name} is ${action.state}: ${action.because}`;
      await telling.hostEvent(action.hostId, {
        kind: 'ha.host-state',
        severity: action.state === 'running' ? 'info' : 'warning',
        message: text,
        details: { state: action.state },
      });
      return undefined;
    }
    case 'open-incident': {
      const { name } = telling.host(action.hostId);
      const { hostId, state, because } = action;
      const opened = { hostName: name, state, because, alarms: [], openedAt: now, closedAt: null };
      const incidentId = ids.uuid();
      await haIncidents.insert(tx, { id: incidentId, clusterId: snapshot.cluster.id, hostId, ...opened });
      telling.entry(incidentId, { kind: 'seen', message: `${name} is ${state}`, because });
      return undefined;
    }
    case 'close-incident':
      await haIncidents.set(tx, { id: action.incidentId }, { closedAt: now });
      telling.entry(action.incidentId, { kind: 'done', message: 'It is over', because: action.because });
      return undefined;
    case 'power-off': {
      const attemptId = ids.uuid();
      const { incidentId, deviceId, hostId } = action;
      await fenceAttempts.insert(tx, {
        id: attemptId,
        incidentId,
        deviceId,
        startedAt: now,
        finishedAt: null,
        error: null,
      });
      const kind = telling.host(hostId).fenceDevices.find(({ id }) => id === deviceId)?.kind ?? 'power';
      const message = `${telling.host(hostId).name} is to be switched off by its ${kind} device`;
      telling.entry(incidentId, { kind: 'decided', message, because: action.because, details: { deviceId } });
      return { attemptId, hostId, incidentId, deviceId };
    }
    case 'record-proof': {
      const { hostId, proof, because } = action;
      const { name, incident } = telling.host(hostId);
      await recordProof(tx, ids.uuid(), proof, incident?.id ?? null);
      telling.entry(incident?.id, { kind: 'done', message: `${name} is proven dead`, because, details: { proof } });
      const message = `Host ${name} is proven dead: ${because}`;
      await telling.hostEvent(hostId, {
        kind: 'ha.host-fenced',
        severity: 'warning',
        message,
        details: { kind: proof.kind },
      });
      return undefined;
    }
    case 'end-proof': {
      await endProofs(tx, action.hostId, now);
      const { name, incident } = telling.host(action.hostId);
      const message = `Host ${name} was taken for dead, but is not: ${action.because}`;
      telling.entry(incident?.id, { kind: 'alarm', message });
      await telling.hostEvent(action.hostId, { kind: 'ha.proof-contradicted', severity: 'error', message });
      return undefined;
    }
    case 'alarm': {
      const { name } = telling.host(action.hostId);
      const { alarms } = await haIncidents.get(tx, action.incidentId);
      await haIncidents.set(tx, { id: action.incidentId }, { alarms: [...alarms, action.code] });
      const message = `Host ${name}: ${action.because}`;
      telling.entry(action.incidentId, { kind: 'alarm', message, details: { code: action.code } });
      await telling.hostEvent(action.hostId, { kind: `ha.${action.code}`, severity: 'error', message });
      return undefined;
    }
  }
}

/** Of a host that is lost nobody knows how its VMs are; what is written about it relies on that. */
export function hostsToDeclareDown(actions: readonly HaAction[]): string[] {
  const ids = actions.flatMap((action) => {
    if (action.kind === 'record-proof') return [action.hostId];
    const lost =
      action.kind === 'set-state' && ['dead', 'fencing', 'fenced', 'management-isolated'].includes(action.state);
    return lost ? [action.hostId] : [];
  });
  return [...new Set(ids)];
}
