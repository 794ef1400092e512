/**
 * Writes what hosts report into the state: the host's row, its domains, and what was last seen of VMs.
 *
 * Invariants: reports of one host are worked off in the order they came; one report is one transaction; rows are written
 * only when something changed, so that quiet hosts cost nothing. Observations do not grow a row's revision: nobody's edit
 * becomes stale because a guest got an address.
 */
import type { DomainChanged, Hello, NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { endProofs } from '../store/fence-proofs.ts';
import { type HostDomainRow, hostDomains } from '../store/host-domains.ts';
import { hostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { poolHosts, pools } from '../store/pools.ts';
import { taskLocks } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { KnownDomains } from './known-domains.ts';
import { observeVm, type VmChanges } from './observe-vm.ts';

const domainKey = ['hostId', 'domainId'] as const;

export class Inventory {
  readonly known = new KnownDomains();
  readonly #store: Store;
  readonly #clock: Clock;
  /** End of the last queued work of each host. */
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** The host is there with all of this. */
  hello(hostId: string, hello: Hello): Promise<void> {
    return this.#queued(hostId, async () => {
      this.known.replace(hostId, hello.domains);
      await this.#store.transaction(async (tx) => {
        await this.#hostUp(tx, hostId, hello);
        await this.#allDomains(tx, hostId, hello.domains);
      });
    });
  }

  /** The whole list of the host's domains, asked for while its link was up. */
  domains(hostId: string, reports: readonly DomainReport[]): Promise<void> {
    return this.#queued(hostId, async () => {
      this.known.replace(hostId, reports);
      await this.#store.transaction(async (tx) => {
        await this.#markUp(tx, hostId);
        await this.#allDomains(tx, hostId, reports);
      });
    });
  }

  domainChanged(hostId: string, { domain, removed, because }: DomainChanged): Promise<void> {
    return this.#queued(hostId, async () => {
      if (removed) this.known.remove(hostId, domain.vmId);
      else this.known.set(hostId, domain);
      await this.#store.transaction(async (tx) => {
        const last = await hostDomains.find(tx, { hostId, domainId: domain.vmId });
        const vm = domain.managed ? await vms.find(tx, { id: domain.vmId }) : undefined;
        if (!removed) await this.#domainSeen(tx, hostId, domain, { last, vm });
        else if (last !== undefined) await this.#domainGone(tx, last, because);
        if (vm !== undefined) await this.#observe(tx, hostId, vm, removed ? null : domain, because);
      });
    });
  }

  /** The host does not beat any more: it is `down`, and nobody knows how its VMs are. */
  hostDown(hostId: string): Promise<void> {
    return this.#queued(hostId, async () => {
      this.known.forget(hostId);
      await this.#store.transaction(async (tx) => {
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
          await this.#change(tx, row, { state: 'unknown', stateReason: `host ${host.name} is not connected` }, null);
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
          this.#store.transaction(async (tx) => {
            const current = await vms.find(tx, { id: row.id });
            const report = this.known.get(hostId, row.id) ?? null;
            if (current !== undefined) await this.#observe(tx, hostId, current, report, null);
          }),
        );
      }
    });
  }

  pools(hostId: string, reports: readonly PoolReport[]): Promise<void> {
    return this.#queued(hostId, () =>
      this.#store.transaction(async (tx) => {
        const host = await hosts.find(tx, { id: hostId });
        if (host === undefined) return;
        const before = new Map((await poolHosts.select(tx, { hostId })).map((row) => [row.poolId, row]));
        for (const report of reports) {
          const last = before.get(report.poolId);
          const pool = await pools.find(tx, { id: report.poolId });
          if (pool === undefined) continue;
          const row = { ...report, hostId, updatedAt: this.#clock.now() };
          if (
            last !== undefined &&
            JSON.stringify({ ...last, ...row }) === JSON.stringify({ ...last, updatedAt: row.updatedAt })
          )
            continue;
          await poolHosts.put(tx, row, ['poolId', 'hostId']);
          if (report.reachable === (last?.reachable ?? true)) continue;
          await appendEvent(tx, {
            at: row.updatedAt,
            kind: report.reachable ? 'pool.reachable' : 'pool.unreachable',
            severity: report.reachable ? 'info' : 'warning',
            message: report.reachable
              ? `Host ${host.name} reaches pool ${pool.name} again`
              : `Host ${host.name} does not reach pool ${pool.name}: ${report.reason ?? 'no reason given'}`,
            target: { kind: 'pool', id: pool.id, name: pool.name },
            details: { hostId },
          });
        }
      }),
    );
  }

  /** The host's devices or uplinks are different now. */
  network(hostId: string, report: NetworkChanged): Promise<void> {
    return this.#queued(hostId, () =>
      this.#store.transaction(async (tx) => {
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
    await this.#store.transaction(async (tx) => {
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
      await this.#domainSeen(tx, hostId, report, known);
    }
    for (const row of rows.values()) {
      const report = reported.get(row.id);
      await this.#observe(tx, hostId, row, report?.managed === true ? report : null, null);
    }
  }

  async #domainSeen(
    tx: Tx,
    hostId: string,
    report: DomainReport,
    { last, vm }: { readonly last: HostDomainRow | undefined; readonly vm: VmRow | undefined },
  ): Promise<void> {
    const row: HostDomainRow = {
      hostId,
      domainId: report.vmId,
      name: report.name,
      state: report.state,
      managed: report.managed,
      vmId: vm?.id ?? null,
      seenAt: this.#clock.now(),
    };
    if (last?.name === row.name && last.state === row.state && last.managed === row.managed && last.vmId === row.vmId)
      return;
    await hostDomains.put(tx, row, domainKey);
    // Events of VMs tell the rest; what Kvasir does not manage shows here alone.
    if (vm !== undefined) return;
    const what =
      last === undefined
        ? `has a domain ${row.name} that is not Kvasir's (${row.state})`
        : `: domain ${row.name} is ${row.state}`;
    await this.#domainEvent(tx, hostId, what, row);
  }

  async #domainGone(tx: Tx, { hostId, domainId, ...last }: HostDomainRow, because: string | null): Promise<void> {
    await hostDomains.remove(tx, { hostId, domainId });
    if (last.vmId !== null) return;
    const what = `: domain ${last.name} is gone (${because ?? 'no reason given'})`;
    await this.#domainEvent(tx, hostId, what, { hostId, domainId, ...last });
  }

  async #domainEvent(tx: Tx, hostId: string, what: string, domain: HostDomainRow): Promise<void> {
    const { name } = await hosts.get(tx, hostId);
    await appendEvent(tx, {
      at: this.#clock.now(),
      kind: 'host.domain-changed',
      message: `Host ${name}${what.startsWith(':') ? '' : ' '}${what}`,
      target: { kind: 'host', id: hostId, name },
      details: { domainId: domain.domainId, domainName: domain.name, state: domain.state },
    });
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
    if (changes !== null) await this.#change(tx, row, changes, because);
  }

  async #change(tx: Tx, row: VmRow, changes: VmChanges, because: string | null): Promise<void> {
    await vms.set(tx, { id: row.id }, changes);
    const common = {
      at: this.#clock.now(),
      target: { kind: 'vm', id: row.id, name: row.name },
      projectId: row.projectId,
    };
    if (changes.state !== undefined && changes.state !== row.state) {
      const reason = changes.stateReason ?? because;
      await appendEvent(tx, {
        ...common,
        kind: 'vm.state-changed',
        severity: changes.state === 'crashed' || changes.state === 'unknown' ? 'warning' : 'info',
        message: `VM ${row.name} is ${changes.state}${reason === null ? '' : `: ${reason}`}`,
        details: { from: row.state, to: changes.state, reason },
      });
    }
    if (changes.drift !== undefined && changes.drift.length > 0) {
      await appendEvent(tx, {
        ...common,
        kind: 'vm.drifted',
        severity: 'warning',
        message: `Somebody changed VM ${row.name} on its host: ${changes.drift.join('; ')}`,
        details: { drift: changes.drift },
      });
    }
  }

  #queued<T>(hostId: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#queues.get(hostId) ?? Promise.resolve()).then(work);
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
