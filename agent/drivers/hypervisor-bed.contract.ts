/** What the hypervisor contract is run on: two hosts, and one VM that every test finds undefined. */
import { setTimeout as delay } from 'node:timers/promises';
import { after, afterEach, before } from 'node:test';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { GuestDriver } from './guest.ts';
import type { DomainDisk, DomainNic, DomainSpec, HypervisorDriver, MigrationSend } from './hypervisor.ts';

export interface ContractHost {
  readonly hypervisor: HypervisorDriver;
  readonly guest: GuestDriver;
  /** Drivers made anew on the same host and opened, as after a restart of the agent; the old ones are closed. */
  restart(): Promise<ContractHost>;
  /** Makes what a domain that is to arrive here needs: its side of the NICs. */
  prepare(domain: DomainSpec): Promise<void>;
}

export interface HypervisorHarness {
  readonly first: ContractHost;
  /** Shares the storage of the first. */
  readonly second: ContractHost;
  /** A VM that can boot on either host, with one disk on shared storage and one NIC, at least 128 MiB; made on the first. */
  domain(): Promise<DomainSpec>;
  /** One more of each for that VM, on the first host. */
  disk(vmId: string): Promise<DomainDisk>;
  nic(vmId: string): Promise<DomainNic>;
  /** Until a guest that was started answers, at most. */
  readonly bootTimeoutMs: number;
  close(): Promise<void>;
}

/** What one run of the contract has at hand. */
export interface HypervisorBed {
  readonly harness: HypervisorHarness;
  /** A test that restarts its drivers puts the new ones here. */
  first: ContractHost;
  readonly second: ContractHost;
  readonly spec: DomainSpec;
  readonly vmId: string;
  /** How the VM is on that host; undefined: it is not there. */
  reportOf(host: ContractHost): Promise<DomainReport | undefined>;
  /** Defines and starts the VM on the first host. */
  running(): Promise<void>;
  /** Waits until its guest answers there. */
  answers(): Promise<void>;
  /** To the second host. */
  send(more?: Partial<MigrationSend>): MigrationSend;
}

/** Of calls that nobody cuts short. */
export const quick = new AbortController().signal;

/** Declares what is done around the tests of a `describe`; the bed is there only within them. */
export function hypervisorBed(makeHarness: () => Promise<HypervisorHarness>): HypervisorBed {
  let harness: HypervisorHarness;
  let first: ContractHost;
  let second: ContractHost;
  let spec: DomainSpec;
  let vmId: string;

  before(async () => {
    harness = await makeHarness();
    first = harness.first;
    second = harness.second;
    spec = await harness.domain();
    vmId = spec.vm.vmId;
  });
  afterEach(async () => {
    for (const { hypervisor } of [first, second]) {
      for (const domain of await hypervisor.list()) {
        if (domain.vmId !== vmId) continue;
        await hypervisor.stop(vmId, 0, quick).catch(() => undefined);
        await hypervisor.undefine(vmId).catch(() => undefined);
      }
    }
  });
  after(() => harness.close());

  return {
    get harness() {
      return harness;
    },
    get first() {
      return first;
    },
    set first(host) {
      first = host;
    },
    get second() {
      return second;
    },
    get spec() {
      return spec;
    },
    get vmId() {
      return vmId;
    },
    reportOf: async (host) => (await host.hypervisor.list()).find((domain) => domain.vmId === vmId),
    running: async () => {
      await first.hypervisor.define(spec);
      await first.hypervisor.start(vmId, { paused: false });
    },
    answers: () => until(harness.bootTimeoutMs, 'the guest answers', () => first.guest.ping(vmId)),
    send: (more = {}) => ({
      vmId,
      ...second.hypervisor.migrationTarget(),
      copyVolumeIds: [],
      autoConverge: false,
      maxDowntimeMs: null,
      bandwidthMibps: null,
      ...more,
    }),
  };
}

/** Looks every 50 ms. */
export async function until(timeoutMs: number, what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${timeoutMs} ms that ${what}`);
    await delay(50);
  }
}
