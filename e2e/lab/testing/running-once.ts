/**
 * Watches all hosts of a lab for a VM that runs twice. Paused domains do not count: an incoming migration is one.
 *
 * A sweep asks the hosts one after the other, so a VM that moves between two questions shows on both. It only counts when the
 * first host, asked again after the second one had it, still runs it, and the second one then too.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ListFlags } from '@kvasir/libvirt/domain-flags.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { Hypervisors } from './hypervisors.ts';

const pauseMs = 15;

export class RunningOnceWatch {
  readonly #hypervisors: Hypervisors;
  readonly #violations: string[] = [];
  readonly #done: Promise<void>;
  #sweeps = 0;
  #stopped = false;

  constructor(hypervisors: Hypervisors) {
    this.#hypervisors = hypervisors;
    this.#done = this.#watch();
  }

  get violations(): readonly string[] {
    return this.#violations;
  }

  /** How often all hosts were looked at. */
  get sweeps(): number {
    return this.#sweeps;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      const seen = new Map<string, string>();
      for (const [host, client] of this.#hypervisors) {
        for (const uuid of await running(client)) {
          const earlier = seen.get(uuid);
          if (earlier === undefined) seen.set(uuid, host);
          else await this.#confirm(uuid, earlier, host);
        }
      }
      this.#sweeps += 1;
      await delay(pauseMs);
    }
  }

  async #confirm(uuid: string, first: string, second: string): Promise<void> {
    for (const host of [first, second]) if (!(await running(this.#hypervisors.get(host)!)).has(uuid)) return;
    this.#violations.push(`VM ${uuid} runs on ${first} and on ${second}`);
  }
}

async function running(client: LibvirtClient): Promise<Set<string>> {
  const domains = await client.host.listDomains(ListFlags.VIR_CONNECT_LIST_DOMAINS_RUNNING);
  return new Set(domains.map((domain) => domain.uuid));
}
