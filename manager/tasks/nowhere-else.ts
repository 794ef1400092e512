/** The last look before a VM is started: known to run somewhere else, it is not. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Executor } from '../store/database.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';

/**
 * No other host that is up reports that the VM runs there, be it by its UUID alone: somebody may have taken our mark away.
 * @throws KvasirError `wrong-state`
 */
export async function requireNowhereElse(
  db: Executor,
  vmId: string,
  hostId: string,
  action: 'start' | 'restart',
): Promise<void> {
  const seen = await hostDomains.select(db, { domainId: vmId, state: ['running', 'paused'] });
  const others = seen.map((domain) => domain.hostId).filter((other) => other !== hostId);
  const [up] = await hosts.select(db, { id: others, state: 'up' });
  if (up === undefined) return;
  const { name } = await vms.get(db, vmId);
  throw new KvasirError('wrong-state', { action, kind: vms.kind, name, state: `it runs on ${up.name}` });
}
