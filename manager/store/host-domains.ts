/** All domains that the hosts reported, also those that Kvasir does not manage. Removed with the host. */
import { Table } from './table.ts';

export interface HostDomainRow {
  readonly hostId: string;
  /** UUID of the domain. */
  readonly domainId: string;
  readonly name: string;
  readonly state: string;
  readonly managed: boolean;
  /** The VM that it is, when Kvasir knows one with this id. */
  readonly vmId: string | null;
  readonly seenAt: number;
}

/** Key: host and domain (`put(tx, row, ['hostId', 'domainId'])`). */
export const hostDomains = new Table<HostDomainRow>({
  table: 'hostDomains',
  kind: 'domain',
  columns: {
    hostId: 'text',
    domainId: 'text',
    name: 'text',
    state: 'text',
    managed: 'flag',
    vmId: 'text',
    seenAt: 'integer',
  },
  key: 'domainId',
});
