/** Remembers a client's events, so that a test can wait for one without missing it. */
import { once } from 'node:events';
import type { LibvirtClient } from '../client.ts';
import type { DomainEvent } from '../domain-event.ts';
import type { MonitorEvent } from '../monitor-event.ts';

export class EventLog {
  readonly events: DomainEvent[] = [];
  /** In one order. */
  readonly all: (DomainEvent | MonitorEvent)[] = [];
  readonly #client: LibvirtClient;

  constructor(client: LibvirtClient) {
    this.#client = client;
    client.on('event', (event) => {
      this.events.push(event);
      this.all.push(event);
    });
    client.on('monitor', (event) => this.all.push(event));
  }

  /** The first event, past or to come, that holds all of these properties. */
  async saw(wanted: Partial<DomainEvent>, timeoutMs = 20_000): Promise<DomainEvent> {
    const signal = AbortSignal.timeout(timeoutMs);
    const fits = (event: DomainEvent): boolean =>
      Object.entries(wanted).every(([key, value]) => (event as unknown as Record<string, unknown>)[key] === value);
    for (;;) {
      const found = this.events.find(fits);
      if (found !== undefined) return found;
      try {
        await once(this.#client, 'event', { signal });
      } catch {
        throw new Error(`no ${JSON.stringify(wanted)} among ${JSON.stringify(this.events)}`);
      }
    }
  }
}
