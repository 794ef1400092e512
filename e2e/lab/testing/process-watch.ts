/**
 * Every QEMU of a lab's hosts, as the kernel has it: whom no libvirt needs to answer for, so that a host whose power fails is
 * watched to its very end. Remembers when each began and ended, and says when one VM had two at the same moment.
 *
 * For scenarios without live migration: there two processes are right.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Lab } from '@kvasir/lab/lab.ts';
import { isRunning, type ProcessIdentity } from '@kvasir/lab/processes.ts';
import { qemuProcesses } from './host-findings.ts';

export interface SeenProcess {
  readonly vmId: string;
  readonly hostName: string;
  readonly process: ProcessIdentity;
  /** `performance.now()` of the first look that showed it, and of the first that did not any more. */
  readonly sinceMs: number;
  readonly untilMs: number | null;
}

const pauseMs = 50;

export class ProcessWatch {
  readonly #lab: Lab;
  readonly #seen = new Map<string, SeenProcess>();
  readonly #violations: string[] = [];
  readonly #done: Promise<void>;
  #looks = 0;
  #stopped = false;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#done = this.#watch();
  }

  get violations(): readonly string[] {
    return this.#violations;
  }

  get looks(): number {
    return this.#looks;
  }

  /** All processes that this VM has had, the oldest first. */
  of(vmId: string): SeenProcess[] {
    return [...this.#seen.values()].filter((seen) => seen.vmId === vmId).sort((a, b) => a.sinceMs - b.sinceMs);
  }

  running(vmId: string): SeenProcess[] {
    return this.of(vmId).filter(({ untilMs }) => untilMs === null);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      this.#look();
      this.#looks += 1;
      await delay(pauseMs);
    }
  }

  #look(): void {
    for (const host of this.#lab.hosts()) {
      for (const { process, vmId } of qemuProcesses(host)) {
        const key = `${process.pid}/${process.startTime}`;
        if (this.#seen.has(key)) continue;
        const seen = { vmId, hostName: host.name, process, sinceMs: performance.now(), untilMs: null };
        this.#seen.set(key, seen);
      }
    }
    const alive = [...this.#seen].filter(([, { untilMs }]) => untilMs === null);
    for (const [key, seen] of alive) {
      if (!isRunning(seen.process)) this.#seen.set(key, { ...seen, untilMs: performance.now() });
    }
    const together = Map.groupBy(
      alive.map(([, seen]) => seen),
      ({ vmId }) => vmId,
    );
    for (const [vmId, some] of together) {
      // All of them twice over: a look takes time, and an end in between is none of two at once.
      if (some.length < 2 || !some.every(({ process }) => isRunning(process))) continue;
      if (!some.every(({ process }) => isRunning(process))) continue;
      this.#violations.push(`VM ${vmId} runs on ${some.map(({ hostName }) => hostName).join(' and on ')}`);
    }
  }
}
