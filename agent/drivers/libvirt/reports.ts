/**
 * What every domain of this host is now, and a word on each change. Owns the knowledge of guests (asked in the background:
 * a guest that does not answer must not hold up a report).
 *
 * Invariant: after each libvirt event of a domain, and after each new connection, one report of it goes out; reports of one
 * domain keep their order. Domains that are not ours are reported too, and never touched.
 */
import { stat } from 'node:fs/promises';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { DomainEvent as LibvirtEvent } from '@kvasir/libvirt/domain-event.ts';
import type { GuestReport } from '../guest.ts';
import type { DomainEvent } from '../hypervisor.ts';
import { driftOf, isOurs, specOf } from './domain-read.ts';
import { readState, type Seen } from './domain-state.ts';
import { isNoDomain } from './errors.ts';
import { VitalSigns } from './vital-signs.ts';
import type { LibvirtGuest } from './guest.ts';
import { readXml } from './xml.ts';

/** Addresses of a guest change without an event. */
const guestRefreshMs = 30_000;
/** A guest that has just booted gets its addresses a moment after its agent answers: it is asked again this soon, so often. */
const addressRetryMs = 2_000;
const addressRetries = 10;
/** A report that could not be made is made later. */
const tellAgainMs = 2_000;

type Listener = (event: DomainEvent) => void;

export class Reports {
  readonly #client: LibvirtClient;
  readonly #guest: LibvirtGuest;
  readonly #pidDirectory: string;
  readonly #listeners = new Set<Listener>();
  readonly #guests = new Map<string, GuestReport>();
  /** Guests that are being asked. */
  readonly #asked = new Set<string>();
  readonly #signs: VitalSigns;
  /** Last report's turn of each domain, so that the next one waits for it. */
  readonly #turns = new Map<string, Promise<void>>();
  #known = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(client: LibvirtClient, guest: LibvirtGuest, pidDirectory: string) {
    this.#client = client;
    this.#guest = guest;
    this.#pidDirectory = pidDirectory;
    this.#signs = new VitalSigns(client, guest, (vmId, name) => this.#enqueue(vmId, name, 'signs'));
  }

  start(): void {
    this.#client.on('event', (event) => this.#onEvent(event));
    this.#client.on('connected', () => void this.#reportAll('libvirt is connected again'));
    this.#timer = setInterval(() => void this.#refreshGuests(), guestRefreshMs);
    this.#timer.unref();
    this.#signs.start();
    void this.#refreshGuests();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#signs.stop();
    this.#listeners.clear();
  }

  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async list(): Promise<DomainReport[]> {
    const domains = await this.#client.host.listDomains();
    const reports = await Promise.all(domains.map(({ uuid, name }) => this.#report(uuid, name)));
    const there = reports.filter((report) => report !== null);
    this.#known = new Set(there.map((report) => report.vmId));
    return there;
  }

  #onEvent(event: LibvirtEvent): void {
    this.#signs.heard(event);
    if (event.kind === 'agentLifecycle') {
      if (event.connected) void this.#refreshGuest(event.uuid, event.name, addressRetries);
      else this.#guests.delete(event.uuid);
    }
    if (event.kind === 'lifecycle' && (event.event === 'stopped' || event.event === 'started'))
      this.#guests.delete(event.uuid);
    const because = event.kind === 'lifecycle' ? `${event.event} (${event.detail})` : event.kind;
    this.#enqueue(event.uuid, event.name, because);
  }

  #enqueue(vmId: string, name: string, because: string): void {
    const before = this.#turns.get(vmId) ?? Promise.resolve();
    const turn = before
      .then(() => this.#tell(vmId, name, because))
      .finally(() => {
        if (this.#turns.get(vmId) === turn) this.#turns.delete(vmId);
      });
    this.#turns.set(vmId, turn);
  }

  async #tell(vmId: string, name: string, because: string): Promise<void> {
    let report: DomainReport | null;
    try {
      report = await this.#report(vmId, name);
    } catch {
      // Without a connection everything is reported anew once it is back. Any other failure passes, and has to leave nothing untold.
      if (!this.#client.connected || this.#timer === undefined) return;
      setTimeout(() => this.#enqueue(vmId, name, because), tellAgainMs).unref();
      return;
    }
    if (report) this.#known.add(vmId);
    else this.#known.delete(vmId);
    const domain = report ?? {
      vmId,
      name,
      managed: false,
      state: 'stopped' as const,
      reason: null,
      incoming: false,
      startedAtMs: null,
      guest: null,
      drift: [],
    };
    for (const listener of this.#listeners) listener({ domain, removed: report === null, because });
  }

  async #reportAll(because: string): Promise<void> {
    const before = this.#known;
    const domains = await this.#client.host.listDomains().catch(() => null);
    if (!domains) return;
    for (const { uuid, name } of domains) this.#enqueue(uuid, name, because);
    const now = new Set(domains.map((domain) => domain.uuid));
    for (const uuid of before) if (!now.has(uuid)) this.#enqueue(uuid, '', because);
  }

  async #report(vmId: string, name: string): Promise<DomainReport | null> {
    try {
      const seen = await readState(this.#client, vmId);
      const domain = readXml(await this.#client.domain.xml(vmId));
      const [managed, spec] = [isOurs(domain), specOf(domain)];
      const signs = seen.state === 'running' ? this.#signs.of(vmId) : undefined;
      const incoming =
        (seen.state === 'running' || seen.state === 'paused') && !(await this.#client.domain.isPersistent(vmId));
      return {
        vmId,
        name: spec?.name ?? name,
        managed,
        state: seen.state,
        reason: incoming ? 'migrating in' : this.#reason(vmId, seen),
        incoming: managed && incoming,
        startedAtMs: await this.#startedAt(name, seen),
        guest: this.#guests.get(vmId) ?? null,
        drift: managed && !incoming ? driftOf(spec, domain) : [],
        ...(signs === undefined ? {} : { signs }),
      };
    } catch (error) {
      if (isNoDomain(error)) return null;
      throw error;
    }
  }

  #reason(vmId: string, { state, reason }: Seen): string | null {
    return state === 'crashed' && this.#signs.panicked(vmId) ? 'panicked' : reason;
  }

  /** libvirt writes the pid file when it starts QEMU. */
  async #startedAt(name: string, seen: Seen): Promise<number | null> {
    if (seen.state !== 'running' && seen.state !== 'paused') return null;
    const file = await stat(`${this.#pidDirectory}/${name}.pid`).catch(() => null);
    return file ? Math.round(file.mtimeMs) : null;
  }

  async #refreshGuests(): Promise<void> {
    const domains = await this.#client.host.listDomains().catch(() => []);
    // One that does not answer is not asked again meanwhile: its questions would take the turns of others.
    const guests = domains.filter(({ id, uuid }) => id !== null && !this.#asked.has(uuid));
    await Promise.all(guests.map(({ uuid, name }) => this.#refreshGuest(uuid, name)));
  }

  async #refreshGuest(vmId: string, name: string, retries = 0): Promise<void> {
    const before = JSON.stringify(this.#guests.get(vmId) ?? null);
    this.#asked.add(vmId);
    const report = await this.#guest.info(vmId).catch(() => null);
    this.#asked.delete(vmId);
    if (report) this.#guests.set(vmId, report);
    else this.#guests.delete(vmId);
    if (report) this.#signs.answered(vmId);
    if (JSON.stringify(report) !== before) this.#enqueue(vmId, name, 'guest');
    if (retries === 0 || report?.agent !== true || report.addresses.length > 0 || this.#timer === undefined) return;
    setTimeout(() => void this.#refreshGuest(vmId, name, retries - 1), addressRetryMs).unref();
  }
}
