/** How a domain is named to callers. */
import type { DomainRef } from '../wire-types.ts';

export interface DomainSummary {
  readonly uuid: string;
  readonly name: string;
  /** libvirt's number for this run of the domain; null when it does not run. */
  readonly id: number | null;
}

export const summary = ({ uuid, name, id }: DomainRef): DomainSummary => ({ uuid, name, id: id === -1 ? null : id });
