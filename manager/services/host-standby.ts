/** Sending a host to standby and waking it, on an operator's word. The work is done by tasks (`tasks/host-standby.ts`, `host-wake.ts`). */
import type { hostStandbyOperations } from '@kvasir/api/resources/host-standby.ts';
import { enqueueStandby, enqueueWake } from '../tasks/standby-intent.ts';
import type { ChangeService } from './call.ts';
import { findHost } from './hosts.ts';
import { taskView } from './tasks.ts';

export const sendToStandby: ChangeService<typeof hostStandbyOperations.standby> = async (change, { params, body }) => {
  const host = await findHost(change, params.host);
  const order = { byPolicy: false, because: 'an operator sent it there', userId: change.actor?.userId ?? null };
  const row = await enqueueStandby(change.tx, change.env, host, { ...order, parallel: body.parallel });
  return await taskView(change.db, row);
};

export const wakeHost: ChangeService<typeof hostStandbyOperations.wake> = async (change, { params }) => {
  const host = await findHost(change, params.host);
  const order = { because: 'an operator woke it', userId: change.actor?.userId ?? null };
  return await taskView(change.db, await enqueueWake(change.tx, change.env, host, order));
};
