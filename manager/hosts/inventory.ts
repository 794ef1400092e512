/**
 * Writes what hosts report into the state: the host's row, its domains, and what was last seen of VMs.
 *
 * Invariants: only the leader writes; reports of one host are worked off in the order they came; one report is one transaction;
 * rows are written only when something changed, so that quiet hosts cost nothing. Observations do not grow a row's revision:
 * nobody's edit becomes stale because a guest got an address.
 */
import type { DomainChanged, Hello, NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { endProofs } from '../store/fence-proofs.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { taskLocks } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { domainGone, domainSeen } from './domains-seen.ts';
import { KnownDomains } from './known-domains.ts';
import { observeVm } from './observe-vm.ts';
import { poolsSeen } from './pools-seen.ts';
import { changeVm } from './vm-changes.ts';

export class Inventory {
  readonly known = new KnownDomains();
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #epoch: () => number | undefined;
  /** End of the last queued work of each host. */
  readonly #queues = new Map<string, Promise<unknown>>();

  /** `epoch`: with which this manager leads. */
  constructor(store: Store, clock: Clock, epoch: () => number | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#epoch = epoch;
  }

  /** The host is there with all of this. */
  hello(hostId: string, hello: Hello): Promise<void> {
    return this.#queued(hostId, async () => {
      this.known.replace(hostId, hello.domains);
      await this.#write(async (tx) => {
        await this.#hostUp(tx, hostId, hello);
        await this.#allDomains(tx, hostId, hello.domains);
      });
    });
  }

  /** The whole list of the host's domains, asked for while its link was up. */
  domains(hostId: string, reports: readonly DomainReport[]): Promise<void> {
    return this.#queued(hostId, async () => {
      this.known.replace(hostId, reports);
      await this.#write(async (tx) => {
        await this.#markUp(tx, hostId);
        await this.#allDomains(tx, hostId, reports);
      });
    });
  }

  domainChanged(hostId: string, { domain, removed, because }: DomainChanged): Promise<void> {
    return this.#queued(hostId, async () => {
      if (removed) this.known.remove(hostId, domain.vmId);
      else this.known.set(hostId, domain);
      await this.#write(async (tx) => {
        const last = await hostDomains.find(tx, { hostId, domainId: domain.vmId });
        const vm = domain.managed ? await vms.find(tx, { id: domain.vmId }) : undefined;
        if (!removed) await domainSeen(tx, hostId, domain, { last, vm }, this.#clock.now());
        else if (last !== undefined) await domainGone(tx, last, because, this.#clock.now());
        if (vm !== undefined) await this.#observe(tx, hostId, vm, removed ? null : domain, because);
      });
    });
  }

  /** The host does not beat any more: it is `down`, and nobody knows how its VMs are. */
  hostDown(hostId: string): Promise<void> {
    return this.#queued(hostId, async () => {
      this.known.forget(hostId);
      await this.#write(async (tx) => {
        const host = await hosts.find(tx, { id: hostId });
        if (host?.state !== 'up') return;
        const now = this.#clock.now();
        await hosts.set(tx, { id: hostId }, { state: 'down' });
        const target = { kind: 'host', id: hostId, name: host.name };
        const asleep = (await hostHa.find(tx, { hostId }))?.state === 'standby';
        const because = asleep ? 'it is switched off to save power' : 'its agent does not answer';
        const severity = asleep ? 'info' : 'error';
        const message = `Host ${host.name} is down: ${because}`;
        await appendEvent(tx, { at: now, kind: 'host.down', severity, message, target });
        const state = ['running', 'paused', 'stopped', 'suspended', 'crashed'] as const;
        for (const row of await vms.select(tx, { hostId, state })) {
          const unknown = { state: 'unknown', stateReason: `host ${host.name} is not connected` } as const;
          await changeVm(tx, row, unknown, null, now);
        }
      });
    });
  }

  /** Rows of VMs that are `unknown` although their host is connected (a migration ended meanwhile): tell them what is known. */
  refreshUnknown(): Promise<void> {
    return this.#queued('', async () => {
      for (const row of await vms.select(this.#store.db, { state: 'unknown' })) {
        const { hostId } = row;
        if (hostId === null || !this.known.has(hostId)) continue;
        await this.#queued(hostId, () =>
          this.#write(async (tx) => {
            const current = await vms.find(tx, { id: row.id });
            const report = this.known.get(hostId, row.id) ?? null;
            if (current !== undefined) await this.#observe(tx, hostId, current, report, null);
          }),
        );
      }
    });
  }

  pools(hostId: string, reports: readonly PoolReport[]): Promise<void> {
    return this.#queued(hostId, () => this.#write((tx) => poolsSeen(tx, hostId, reports, this.#clock.now())));
  }

  /** The host's devices or uplinks are different now. */
  network(hostId: string, report: NetworkChanged): Promise<void> {
    return this.#queued(hostId, () =>
      this.#write(async (tx) => {
        const host = await hosts.find(tx, { id: hostId });
        if (host?.inventory) await hosts.set(tx, { id: hostId }, { inventory: { ...host.inventory, ...report } });
      }),
    );
  }

  /** An event about a host outside of its reports. */
  async hostEvent(
    hostId: string,
    kind: string,
    severity: 'info' | 'warning' | 'error',
    message: (name: string) => string,
  ): Promise<void> {
    await this.#write(async (tx) => {
      const host = await hosts.find(tx, { id: hostId });
      if (host === undefined) return;
      const target = { kind: 'host', id: hostId, name: host.name };
      await appendEvent(tx, { at: this.#clock.now(), kind, severity, message: message(host.name), target });
    });
  }

  /** Waits until all that was reported so far is written. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#queues.values());
  }

  async #hostUp(tx: Tx, hostId: string, { inventory, agentVersion }: Hello): Promise<void> {
    await this.#markUp(tx, hostId);
    await hosts.set(
      tx,
      { id: hostId },
      {
        address: inventory.address,
        virtualization: inventory.virtualization,
        cpus: inventory.cpus,
        cpuModel: inventory.cpuModel,
        memoryMib: inventory.memoryMib,
        versions: { ...inventory.versions, agent: agentVersion },
        inventory,
      },
    );
  }

  async #markUp(tx: Tx, hostId: string): Promise<void> {
    const host = await hosts.get(tx, hostId);
    const now = this.#clock.now();
    await hosts.set(tx, { id: hostId }, { state: 'up', lastSeenAt: now });
    await endProofs(tx, hostId, now);
    if (host.state === 'up') return;
    const target = { kind: 'host', id: hostId, name: host.name };
    await appendEvent(tx, { at: now, kind: 'host.up', message: `Host ${host.name} is up`, target });
  }

  async #allDomains(tx: Tx, hostId: string, reports: readonly DomainReport[]): Promise<void> {
    const reported = new Map(reports.map((report) => [report.vmId, report]));
    const last = new Map((await hostDomains.select(tx, { hostId })).map((row) => [row.domainId, row]));
    const rows = new Map((await vms.select(tx, { hostId })).map((row) => [row.id, row]));
    const others = reports.filter((report) => report.managed && !rows.has(report.vmId)).map((report) => report.vmId);
    if (others.length > 0) for (const row of await vms.select(tx, { id: others })) rows.set(row.id, row);
    for (const { domainId } of last.values()) {
      if (!reported.has(domainId)) await hostDomains.remove(tx, { hostId, domainId });
    }
    for (const report of reported.values()) {
      const known = { last: last.get(report.vmId), vm: report.managed ? rows.get(report.vmId) : undefined };
      await domainSeen(tx, hostId, report, known, this.#clock.now());
    }
    for (const row of rows.values()) {
      const report = reported.get(row.id);
      await this.#observe(tx, hostId, row, report?.managed === true ? report : null, null);
    }
  }

  async #observe(
    tx: Tx,
    hostId: string,
    row: VmRow,
    report: DomainReport | null,
    because: string | null,
  ): Promise<void> {
    const locked = (await taskLocks.find(tx, { targetId: row.id })) !== undefined;
    const { reservedHostId } = row;
    const moving = reservedHostId !== null && reservedHostId !== hostId;
    const arrivedElsewhere = moving && this.known.isActiveOn(reservedHostId, row.id);
    const changes = observeVm(row, { hostId, report, locked, arrivedElsewhere });
    if (changes !== null) await changeVm(tx, row, changes, because, this.#clock.now());
  }

  /** Another manager that leads hears newer things: what this one still has to write is old. @throws not-leader */
  async #write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const epoch = this.#lead();
    return await this.#store.transaction(async (tx) => {
      if ((await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
      return await work(tx);
    });
  }

  #lead(): number {
    const epoch = this.#epoch();
    if (epoch === undefined) throw new KvasirError('not-leader');
    return epoch;
  }

  #queued<T>(hostId: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#queues.get(hostId) ?? Promise.resolve()).then(() => {
      // Nor is it kept in memory, for when this manager leads again.
      this.#lead();
      return work();
    });
    const settled = result.then(
      () => {},
      () => {},
    );
    this.#queues.set(hostId, settled);
    void settled.then(() => {
      if (this.#queues.get(hostId) === settled) this.#queues.delete(hostId);
    });
    return result;
  }
}
