/**
 * Ends the sessions that a port may not have any more, and those through addresses that a gateway gave up. In this order, so that no moment and no crash brings one back: the switch
 * has the new rules; what is to end is read; it is on disk and refused by flows; only then is it forgotten.
 */
import { holdsCut } from '@kvasir/api/agent/merge-cuts.ts';
import type { NetworkSlice, SlicePort } from '@kvasir/api/agent/network-slice.ts';
import { portKey } from '@kvasir/ovs/compile/numbers.ts';
import { UnixctlError } from '@kvasir/ovs/unixctl.ts';
import { type Connection, parseConnections, tupleOf } from './connections.ts';
import { endedSessions } from './cut-sessions.ts';
import { leadingTo, type LostTranslations, lostTranslations } from './lost-translations.ts';
import type { PendingCuts } from './pending-cuts.ts';
import { shrunkPorts } from './shrunk-ports.ts';

export interface SessionsOptions {
  /** A command to ovs-vswitchd. */
  readonly ask: (command: string, ...args: readonly string[]) => Promise<string>;
  readonly pending: PendingCuts;
}

/** More than this are forgotten with the whole zone: those that may go on are picked up in their middle. */
const mostByName = 500;

export class Sessions {
  readonly #options: SessionsOptions;
  /** Ports that may do less, with the slice under which they could do more: a failed round must not lose them. */
  readonly #shrunk = new Map<string, NetworkSlice>();
  /** By router, as long: addresses whose connections are to end. */
  readonly #untranslated = new Map<string, Set<string> | 'all'>();
  readonly #released = new Set<number>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** The flows of `now` are in force. */
  note(before: NetworkSlice | null, now: NetworkSlice, releasedZones: readonly number[]): void {
    for (const zone of releasedZones) this.#released.add(zone);
    for (const key of before === null ? [] : shrunkPorts(before, now)) {
      if (before !== null && !this.#shrunk.has(key)) this.#shrunk.set(key, before);
    }
    if (before !== null) this.#noteLost(lostTranslations(before, now));
  }

  /** `zones`: of ports and routers. `refuse` puts the flows in force that refuse what is pending. */
  async end(now: NetworkSlice, zones: Readonly<Record<string, number>>, refuse: () => Promise<void>): Promise<void> {
    for (const zone of this.#released) {
      await this.#forgetAll(zone);
      this.#released.delete(zone);
    }
    if (this.#shrunk.size === 0 && this.#untranslated.size === 0) return;
    const { ask, pending } = this.#options;
    // What the switch remembers of the flows of before may still open connections.
    await ask('revalidator/purge');
    for (const [routerId, addresses] of this.#untranslated) {
      await this.#endTranslations(zones[routerId], addresses);
      this.#untranslated.delete(routerId);
    }
    const ports = new Map(pending.addedTo(now).ports.map((port) => [portKey(port), port]));
    const ended: { readonly zone: number; readonly connections: readonly Connection[] }[] = [];
    let added = false;
    for (const [key, before] of this.#shrunk) {
      const [zone, port] = [zones[key], ports.get(key)];
      const earlier = before.ports.find((one) => portKey(one) === key);
      if (zone === undefined || port === undefined || earlier === undefined) continue;
      const connections = parseConnections(await ask('dpctl/dump-conntrack', `zone=${zone}`));
      if (connections.length === 0) continue;
      const found = endedSessions(connections, { slice: before, port: earlier }, { slice: now, port });
      ended.push({ zone, connections: found.connections });
      added = (await this.#remember(port, found.cuts)) || added;
    }
    if (added) await refuse();
    for (const { zone, connections } of ended) await this.#forget(zone, connections);
    this.#shrunk.clear();
  }

  #noteLost(lost: LostTranslations): void {
    for (const [routerId, addresses] of lost) {
      const known = this.#untranslated.get(routerId) ?? new Set();
      const all = known === 'all' || addresses === 'all';
      this.#untranslated.set(routerId, all ? 'all' : new Set([...known, ...addresses]));
    }
  }

  async #endTranslations(zone: number | undefined, addresses: ReadonlySet<string> | 'all'): Promise<void> {
    if (zone === undefined) return;
    if (addresses === 'all') return this.#forgetAll(zone);
    const dump = await this.#options.ask('dpctl/dump-conntrack', `zone=${zone}`);
    await this.#forget(zone, parseConnections(leadingTo(dump, [...addresses])));
  }

  async #remember(port: SlicePort, cuts: Parameters<PendingCuts['add']>[1]): Promise<boolean> {
    const unknown = cuts.filter((cut) => !holdsCut(port.cuts ?? [], cut));
    if (unknown.length > 0) await this.#options.pending.add(port, unknown);
    return unknown.length > 0;
  }

  async #forget(zone: number, connections: readonly Connection[]): Promise<void> {
    const tuples = connections.map(tupleOf);
    if (tuples.length > mostByName || tuples.includes(null)) return this.#forgetAll(zone);
    for (const tuple of tuples) {
      await this.#options.ask('dpctl/flush-conntrack', `zone=${zone}`, tuple!).catch((error: unknown) => {
        // It ended by itself.
        if (error instanceof UnixctlError && error.message.includes('No such file')) return;
        throw error;
      });
    }
  }

  async #forgetAll(zone: number): Promise<void> {
    await this.#options.ask('dpctl/flush-conntrack', `zone=${zone}`);
  }
}
