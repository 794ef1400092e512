/** What a call asks of a domain before it does anything, and how it is refused: as a real host refuses it. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { DomainSpec } from '../hypervisor.ts';
import type { SimDomain } from './domain.ts';
import type { SimHost } from './host.ts';

export function domainOn(host: SimHost, vmId: string): SimDomain {
  const domain = host.domains.get(vmId);
  if (domain === undefined) throw new KvasirError('not-found', { kind: 'domain', id: vmId });
  return domain;
}

/** @param action as it stands in the refusal */
export function activeDomainOn(host: SimHost, vmId: string, action: string): SimDomain {
  const domain = domainOn(host, vmId);
  if (!domain.isActive || domain.incoming) throw wrongState(action, domain);
  return domain;
}

export function specOf(domain: SimDomain): DomainSpec {
  if (domain.spec !== null) return domain.spec;
  throw new KvasirError('host-failed', { reason: 'the domain does not carry our mark' });
}

/** They are there, and no process elsewhere writes to them. */
export function requireDisks(host: SimHost, domain: SimDomain): void {
  const { world, hostId } = host;
  for (const { source } of domain.spec?.disks ?? []) {
    if (host.volumeAt(source.path) === undefined) {
      throw new KvasirError('host-failed', { reason: `could not open ${source.path}: no such file` });
    }
  }
  const elsewhere = world.runningOn(domain.vmId).filter((other) => other !== hostId);
  if (world.imageLocks && elsewhere.length > 0 && (domain.spec?.disks.length ?? 0) > 0) {
    throw new KvasirError('host-failed', {
      reason: 'failed to get "write" lock: is another process using the image?',
    });
  }
}

export function wrongState(action: string, domain: SimDomain): KvasirError {
  const state = domain.incoming ? 'migrating in' : domain.state;
  return new KvasirError('wrong-state', { action, kind: 'domain', name: domain.name, state });
}
