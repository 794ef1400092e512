/**
 * What only the manager that leads can do: hosts are linked to it alone, it alone hears them, and it runs the imports of uploads.
 * Another one refuses that, and says which to ask: to operators by name, for the names of machines are not for tenants.
 */
import { errorFromWire, errorTable, type KvasirError } from '@kvasir/api/errors.ts';
import { managerName } from '../process-identity.ts';
import { leader } from '../store/leader.ts';
import { isOperator } from './access.ts';
import type { Actor, Environment } from './call.ts';

/** Whether this manager leads now. */
export type Leads = () => boolean;

/** @throws not-leader */
export async function requireLead(env: Environment, leads: Leads, actor: Actor | undefined): Promise<void> {
  if (!leads()) throw await notLeader(env, actor);
}

async function notLeader({ store, clock }: Environment, actor: Actor | undefined): Promise<KvasirError> {
  const [row] = await leader.select(store.db);
  const code = 'not-leader';
  const said = (rest: string): KvasirError => {
    const [head] = errorTable[code].message.split(';');
    return errorFromWire({ code, message: `${head}${rest}` });
  };
  if (row?.holder == null || row.leaseUntil <= clock.now()) return said(', and no other: try again');
  const name = actor && isOperator(actor) ? managerName(row.holder) : undefined;
  return said(`: ask the one ${name === undefined ? 'that is' : `on ${name}`}`);
}
