/**
 * How many connections a port or a router may have open on this host. All share the table of one host: without a limit, who fills it
 * keeps the others from opening any. Each has a zone of its own, so the switch counts by zone.
 *
 * Compared and corrected with each round, because a switch in user space that is restarted knows no limit any more. Asked for by name,
 * and in parts: the kernel has one small message for an answer. A switch that knows no limits, or cannot be asked, works on without: guests
 * are better off so than without a network. The log says so, and the next round tries again.
 */
import type { Numbers } from '@kvasir/ovs/compile/numbers.ts';
import { UnixctlError } from '@kvasir/ovs/unixctl.ts';

export interface ZoneLimitsOptions {
  /** A command to ovs-vswitchd. */
  readonly ask: (command: string, ...args: readonly string[]) => Promise<string>;
  /** Default `connectionsOfPort`. */
  readonly perPort?: number | undefined;
  readonly log: (message: string, error?: unknown) => void;
}

/**
 * As many as one address can have open to one port of a server, for there are no more port numbers: a proxy, which opens more than
 * other servers, has that many to what is behind it.
 */
export const connectionsOfPort = 65_536;
/** One port of a router's networks alone does not fill the router's zone. */
const portsOfRouter = 4;
const zonesInRequest = 100;

interface Zone {
  readonly limit: number;
  readonly count: number;
}

export class ZoneLimits {
  readonly #options: ZoneLimitsOptions;
  readonly #full = new Set<string>();
  #failure: string | null = null;

  constructor(options: ZoneLimitsOptions) {
    this.#options = options;
  }

  /** Before the flows, so that nothing is open that is not counted. */
  async keep({ ports, routers }: Numbers): Promise<void> {
    const { perPort = connectionsOfPort } = this.#options;
    const wanted = [
      ...Object.entries(ports).map(([key, zone]) => ({ name: `port ${key}`, zone, limit: perPort })),
      ...Object.entries(routers).map(([id, zone]) => ({ name: `router ${id}`, zone, limit: perPort * portsOfRouter })),
    ];
    await this.#tried(async () => {
      for (let at = 0; at < wanted.length; at += zonesInRequest) {
        const part = wanted.slice(at, at + zonesInRequest);
        const names = part.map(({ zone }) => zone).join(',');
        const known = parseLimits(await this.#options.ask('dpctl/ct-get-limits', `zone=${names}`));
        const missing = part.filter(({ zone, limit }) => known.get(zone)?.limit !== limit);
        const orders = missing.map(({ zone, limit }) => `zone=${zone},limit=${limit}`);
        if (orders.length > 0) await this.#options.ask('dpctl/ct-set-limits', ...orders);
        for (const { name, zone, limit } of part) this.#tell(name, limit, known.get(zone)?.count ?? 0);
      }
    });
  }

  /** After their connections were forgotten. */
  async drop(zones: readonly number[]): Promise<void> {
    if (zones.length === 0) return;
    await this.#tried(() => this.#options.ask('dpctl/ct-del-limits', `zone=${zones.join(',')}`));
  }

  #tell(name: string, limit: number, count: number): void {
    if (count < limit) this.#full.delete(name);
    else if (!this.#full.has(name)) {
      this.#full.add(name);
      this.#options.log(`${name} has ${count} connections, as many as it may: it gets no new ones until some end`);
    }
  }

  async #tried(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      this.#failure = null;
    } catch (error) {
      if (!(error instanceof UnixctlError)) throw error;
      if (this.#failure !== error.message) this.#options.log('connections are not limited', error);
      this.#failure = error.message;
    }
  }
}

/** `zone=5,limit=100,count=3`, a line each; a zone without a limit has 0. */
function parseLimits(text: string): Map<number, Zone> {
  const lines = text.matchAll(/^zone=(\d+),limit=(\d+),count=(\d+)$/gm);
  return new Map(
    [...lines].map(([, zone, limit, count]) => [Number(zone), { limit: Number(limit), count: Number(count) }]),
  );
}
