/** The rows of a host's domains, and the events of those that are not Kvasir's. Written only when something changed. */
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { type HostDomainRow, hostDomains } from '../store/host-domains.ts';
import { hosts } from '../store/hosts.ts';
import type { VmRow } from '../store/vms.ts';

const domainKey = ['hostId', 'domainId'] as const;

export async function domainSeen(
  tx: Tx,
  hostId: string,
  report: DomainReport,
  { last, vm }: { readonly last: HostDomainRow | undefined; readonly vm: VmRow | undefined },
  now: number,
): Promise<void> {
  const row: HostDomainRow = {
    hostId,
    domainId: report.vmId,
    name: report.name,
    state: report.state,
    managed: report.managed,
    vmId: vm?.id ?? null,
    seenAt: now,
  };
  if (last?.name === row.name && last.state === row.state && last.managed === row.managed && last.vmId === row.vmId)
    return;
  await hostDomains.put(tx, row, domainKey);
  // Events of VMs tell the rest; what Kvasir does not manage shows here alone.
  if (vm !== undefined) return;
  const what =
    last === undefined
      ? `has a domain ${row.name} that is not Kvasir's (${row.state})`
      : `: domain ${row.name} is ${row.state}`;
  await domainEvent(tx, hostId, what, row, now);
}

export async function domainGone(
  tx: Tx,
  { hostId, domainId, ...last }: HostDomainRow,
  because: string | null,
  now: number,
): Promise<void> {
  await hostDomains.remove(tx, { hostId, domainId });
  if (last.vmId !== null) return;
  const what = `: domain ${last.name} is gone (${because ?? 'no reason given'})`;
  await domainEvent(tx, hostId, what, { hostId, domainId, ...last }, now);
}

async function domainEvent(tx: Tx, hostId: string, what: string, domain: HostDomainRow, now: number): Promise<void> {
  const { name } = await hosts.get(tx, hostId);
  await appendEvent(tx, {
    at: now,
    kind: 'host.domain-changed',
    message: `Host ${name}${what.startsWith(':') ? '' : ' '}${what}`,
    target: { kind: 'host', id: hostId, name },
    details: { domainId: domain.domainId, domainName: domain.name, state: domain.state },
  });
}
