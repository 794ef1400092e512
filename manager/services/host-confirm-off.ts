/**
 * An operator's word that a host is off. It counts as a proof, so it is refused while anything at all speaks against it: an agent
 * that is heard, a lease that is renewed, another host that hears it; and where the cluster's policy takes no such word. A host in standby
 * needs no proof: nothing is to be started elsewhere.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { hostOperations } from '@kvasir/api/resources/host.ts';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { signalsOf } from '@kvasir/control/ha/signals.ts';
import { clusters } from '../store/clusters.ts';
import type { Executor } from '../store/database.ts';
import { recordProof } from '../store/fence-proofs.ts';
import { appendTimeline, haIncidents } from '../store/ha-incidents.ts';
import { haPolicyOf } from '../store/ha-settings.ts';
import { hostHa } from '../store/host-ha.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { readHaSnapshot } from '../tasks/ha-snapshot.ts';
import { actorOf } from './access.ts';
import type { Call, ChangeService } from './call.ts';
import { announce } from './changes.ts';
import { findHost, hostView } from './hosts.ts';

export const confirmHostOff: ChangeService<typeof hostOperations.confirmOff> = async (change, { params, body }) => {
  const host = await findHost(change, params.host);
  await requireThatWordCounts(change.tx, host.clusterId);
  const sign = await signOfLife(change, change.tx, host);
  if (sign !== undefined) {
    throw new KvasirError('wrong-state', { action: 'take for off', kind: hosts.kind, name: host.name, state: sign });
  }
  const { userId, userName } = actorOf(change);
  const now = change.env.clock.now();
  const bootId = (await hostHa.find(change.tx, { hostId: host.id }))?.bootId ?? null;
  const word = { userId, userName, statement: body.statement };
  const proof = operatorProof({ hostId: host.id, hostName: host.name, bootId }, word, now);
  const incident = await haIncidents.find(change.tx, { hostId: host.id, closedAt: null });
  await recordProof(change.tx, change.env.ids.uuid(), proof, incident?.id ?? null);
  if (incident !== undefined) {
    const message = `${host.name} is off by ${userName}'s word`;
    await appendTimeline(change.tx, incident.id, [{ at: now, kind: 'done', message, because: proof.because }]);
  }
  await announce(change, {
    kind: 'host.confirmed-off',
    severity: 'warning',
    message: proof.because,
    target: { kind: 'host', id: host.id, name: host.name },
  });
  return hostView(change, host);
};

/** What may prove a host dead is the cluster's policy, for a word as for everything else. @throws unsupported */
async function requireThatWordCounts(db: Executor, clusterId: string): Promise<void> {
  const { fencing } = await haPolicyOf(db, clusterId);
  if (fencing.includes('operator')) return;
  const { name } = await clusters.get(db, clusterId);
  const methods = fencing.length === 0 ? 'nothing' : fencing.join(', ');
  const reason = `The policy ha.fencing of cluster "${name}" takes no operator's word that a host is off (${methods})`;
  throw new KvasirError('unsupported', { reason });
}

/** Why the host is not off; undefined: nothing shows that it runs. */
async function signOfLife(call: Call, db: Executor, host: HostRow): Promise<string | undefined> {
  const { clock, signals } = call.env;
  if (host.state === 'up' && signals.lastHeartbeatMs(host.id) === undefined) {
    return 'not missed yet: the manager has only just begun to listen; say it again in half a minute';
  }
  if (host.state !== 'down') return host.state;
  if ((await hostHa.find(db, { hostId: host.id }))?.state === 'standby') return 'in standby: it carries no VM';
  // What speaks against it is only heard by the manager that leads, and not before its hosts have come back to it.
  const others = await hosts.select(db, { clusterId: host.clusterId, state: 'up' }, 'name');
  const unheard = others.find(({ id }) => signals.lastHeartbeatMs(id) === undefined);
  if (unheard !== undefined) {
    return `not looked for yet: the manager does not hear ${unheard.name}, which may see it; say it again in half a minute`;
  }
  const manager = { leadingSinceMs: 0, heldUpAtMs: null };
  const snapshot = await readHaSnapshot(db, { signals, manager, fencings: new Map() }, host.clusterId);
  const facts = snapshot.hosts.find(({ id }) => id === host.id)!;
  const { silentMs, lease, peers } = signalsOf(facts, snapshot, clock.now());
  if (silentMs < snapshot.cluster.policy.fenceAfterMs) return 'heard';
  if (lease === 'alive') return 'alive: it renews its lease';
  return peers === 'alive' ? 'alive: other hosts hear it' : undefined;
}
