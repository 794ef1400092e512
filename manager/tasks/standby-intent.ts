/** The intents to send a host to standby and to wake it: for operators and for power saving. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import { powerSavingPolicyOf } from '../store/cluster-power-saving.ts';
import type { Tx } from '../store/database.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { hostHa } from '../store/host-ha.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hostStandby, setStandby, standbyOf } from '../store/host-standby.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import type { TaskRow } from '../store/tasks.ts';
import { enqueueTask } from './enqueue.ts';

interface Seams {
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface StandbyOrder {
  readonly byPolicy: boolean;
  readonly because: string;
  readonly userId: string | null;
  /** VMs that move at once; default 2. */
  readonly parallel?: number | undefined;
}

const parallelMoves = 2;

/** @throws KvasirError wrong-state, host-needed, busy */
export async function enqueueStandby(tx: Tx, seams: Seams, host: HostRow, order: StandbyOrder): Promise<TaskRow> {
  const refused = (state: string): KvasirError =>
    new KvasirError('wrong-state', { action: 'send to standby', kind: hosts.kind, name: host.name, state });
  const known = await standbyOf(tx, host.id);
  if (known !== undefined) throw refused(known.phase);
  if (host.state !== 'up') throw refused(host.state);
  if ((await hostMaintenance.find(tx, { hostId: host.id })) !== undefined) throw refused('in maintenance');
  const ha = (await hostHa.find(tx, { hostId: host.id }))?.state ?? 'running';
  if (ha !== 'running') throw refused(ha);
  if ((await fenceDevices.count(tx, { hostId: host.id })) === 0)
    throw new KvasirError('host-needed', {
      host: host.name,
      reason: 'it has no fence device that could wake it again',
    });
  const now = seams.clock.now();
  const { byPolicy, because, userId, parallel = parallelMoves } = order;
  await hosts.update(tx, host.id, { schedulable: false }, { now });
  const params = { hostId: host.id, parallel };
  const target = { kind: 'host', id: host.id, name: host.name };
  const task = await enqueueTask(tx, seams, { kind: 'host-standby', params, target, projectId: null, userId });
  const row = { hostId: host.id, wasSchedulable: host.schedulable, byPolicy, because, taskId: task.id, since: now };
  await hostStandby.insert(tx, { ...row, phase: 'entering' });
  return task;
}

/** @throws KvasirError wrong-state, busy */
export async function enqueueWake(
  tx: Tx,
  seams: Seams,
  host: HostRow,
  order: { readonly because: string; readonly userId: string | null },
): Promise<TaskRow> {
  const known = await standbyOf(tx, host.id);
  if (known === undefined || known.phase === 'entering') {
    const state = known === undefined ? 'not in standby' : 'on its way to standby (cancel that task)';
    throw new KvasirError('wrong-state', { action: 'wake', kind: hosts.kind, name: host.name, state });
  }
  const { wakeTimeoutMs } = await powerSavingPolicyOf(tx, host.clusterId);
  const params = { hostId: host.id, timeoutMs: wakeTimeoutMs };
  const target = { kind: 'host', id: host.id, name: host.name };
  const { userId, because } = order;
  const task = await enqueueTask(tx, seams, { kind: 'host-wake', params, target, projectId: null, userId });
  await setStandby(tx, host.id, { phase: 'waking', because, taskId: task.id, since: seams.clock.now() });
  return task;
}
