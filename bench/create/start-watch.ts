/** Sees domains run on a host: by libvirt's own lifecycle events, the same way for whoever started them. */
import { setTimeout as delay } from 'node:timers/promises';
import { LibvirtClient } from '@kvasir/libvirt/client.ts';

const limitMs = 120_000;

export class StartWatch {
  readonly #client: LibvirtClient;
  readonly #startedAt = new Map<string, number>();

  private constructor(client: LibvirtClient) {
    this.#client = client;
    client.on('event', (event) => {
      const at = performance.now();
      if (event.kind !== 'lifecycle') return;
      // Started paused is not running yet: then the event that it was resumed counts.
      if (event.event === 'started' || event.event === 'resumed') this.#startedAt.set(event.uuid, at);
    });
  }

  static async open(socketPath: string): Promise<StartWatch> {
    const client = new LibvirtClient({ socketPath, events: ['lifecycle'] });
    await client.connect(10_000);
    return new StartWatch(client);
  }

  /** When it last began to run since `forget`, in the time of `performance.now()`. */
  async started(vmId: string): Promise<number> {
    const end = performance.now() + limitMs;
    for (;;) {
      const at = this.startedAt(vmId);
      if (at !== undefined) return at;
      if (performance.now() > end) throw new Error(`the domain ${vmId} did not start`);
      await delay(5);
    }
  }

  /** The same, without waiting for it. */
  startedAt(vmId: string): number | undefined {
    return this.#startedAt.get(vmId);
  }

  forget(vmId: string): void {
    this.#startedAt.delete(vmId);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
