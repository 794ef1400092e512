/** What is told of an incident: its timeline, and events that the whole system sees. Alarms are events of severity error. */
import type { HaSnapshot, HostFacts } from '@kvasir/control/ha/snapshot.ts';
import type { Tx } from '../store/database.ts';
import { appendEvent, type NewEvent } from '../store/events.ts';
import { appendTimeline, type NewTimelineEntry } from '../store/ha-incidents.ts';

/** One round of decisions on one cluster, as it is being written down. */
export class Telling {
  readonly #tx: Tx;
  readonly #snapshot: HaSnapshot;
  readonly #now: number;
  readonly #entries = new Map<string, NewTimelineEntry[]>();

  constructor(tx: Tx, snapshot: HaSnapshot, now: number) {
    this.#tx = tx;
    this.#snapshot = snapshot;
    this.#now = now;
  }

  host(hostId: string): HostFacts {
    return this.#snapshot.hosts.find(({ id }) => id === hostId)!;
  }

  vmName(vmId: string): string {
    return this.#snapshot.vms.find(({ id }) => id === vmId)?.name ?? vmId;
  }

  /** Goes into the timeline; `write` puts all of them down. */
  entry(incidentId: string | undefined, entry: Omit<NewTimelineEntry, 'at'>): void {
    if (incidentId === undefined) return;
    const entries = this.#entries.get(incidentId) ?? [];
    this.#entries.set(incidentId, [...entries, { ...entry, at: this.#now }]);
  }

  async event(event: Omit<NewEvent, 'at'>): Promise<void> {
    await appendEvent(this.#tx, { ...event, at: this.#now });
  }

  async hostEvent(hostId: string, event: Omit<NewEvent, 'at' | 'target'>): Promise<void> {
    const { name } = this.host(hostId);
    await this.event({ ...event, target: { kind: 'host', id: hostId, name } });
  }

  async write(): Promise<void> {
    for (const [incidentId, entries] of this.#entries) await appendTimeline(this.#tx, incidentId, entries);
  }
}
