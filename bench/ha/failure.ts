/**
 * One power failure behind the manager's back: VMs run on a host whose power is cut, and the time goes until they run elsewhere.
 *
 * The clock starts when the host's first process is killed. The ends are seen without Kvasir: `running` by libvirt's own
 * events on the other hosts, `guest` by the guest agent's answer there. What lies between is read from the timeline of the incident.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { insideHost } from '@kvasir/lab/layout.ts';
import { signal, until } from '@kvasir/lab/processes.ts';
import { StartWatch } from '../create/start-watch.ts';
import type { Bed } from './bed.ts';

export type Means = 'bmc' | 'lease';

/** Milliseconds since the power failed; each is the whole time until then. */
export interface Failure {
  readonly means: Means;
  /** The host is taken for dead. */
  readonly detectedMs: number;
  readonly provenMs: number;
  readonly placedMs: number;
  /** The first and the last domain run elsewhere. */
  readonly firstRunningMs: number;
  readonly runningMs: number;
  /** The agent of the last guest answers. */
  readonly guestMs: number;
}

const limitMs = 120_000;

/** Ends with all hosts up and the VMs back on the host that fails, for the next round. */
export async function fail(bed: Bed, means: Means, victim: string, vmIds: readonly string[]): Promise<Failure> {
  const { lab } = bed;
  const others = lab.hosts().filter(({ name }) => name !== victim);
  const watches = await Promise.all(others.map((host) => StartWatch.open(host.path(insideHost.libvirtSocket))));
  try {
    if (means === 'lease') lab.setBmc(victim, 'broken');
    await phase();
    const init = lab.host(victim).init();
    if (init === undefined) throw new Error(`${victim} is off already`);
    const [off, offAt] = [performance.now(), Date.now()];
    signal(init, 'SIGKILL');
    const started = vmIds.map((id) =>
      until(`the domain ${id} elsewhere`, limitMs, () => watches.map((watch) => watch.startedAt(id)).find(Boolean)),
    );
    // What the network and the record of the lab know follows; the machine is dead by now.
    await lab.powerOff(victim);
    const running = (await Promise.all(started)).map((at) => at - off);
    const guests = await Promise.all(vmIds.map((id) => guestUp(bed, id).then((at) => at - off)));
    const told = await timeline(bed, victim);
    const at = (kind: string, words: RegExp): number => {
      const entries = told.filter((entry) => entry.kind === kind && words.test(entry.message));
      if (entries.length === 0) throw new Error(`the timeline does not tell ${words.source}`);
      return Math.max(...entries.map((entry) => entry.atMs)) - offAt;
    };
    return {
      means,
      detectedMs: at('seen', / is dead$/),
      provenMs: at('done', / is proven dead$/),
      placedMs: at('decided', / goes to /),
      firstRunningMs: Math.min(...running),
      runningMs: Math.max(...running),
      guestMs: Math.max(...guests),
    };
  } finally {
    await Promise.all(watches.map((watch) => watch.close()));
    lab.setBmc(victim, 'ok');
    await lab.powerOn(victim);
    await bed.quiet();
  }
}

/** Heartbeats, renewals and looks all come once a second: failures shall come at any moment between them. */
async function phase(): Promise<void> {
  await delay(Math.random() * 1000);
}

async function guestUp({ lab, client }: Bed, vmId: string): Promise<number> {
  const ping = JSON.stringify({ execute: 'guest-ping' });
  return until(`answer of the guest ${vmId}`, limitMs, async () => {
    const vm: Vm = await client.call(vmOperations.get, { params: { vm: vmId } });
    if (vm.hostName === null || vm.state !== 'running') return undefined;
    const asked = await lab.host(vm.hostName).tryExec(['virsh', '--quiet', 'qemu-agent-command', vmId, ping]);
    return asked.exitCode === 0 ? performance.now() : undefined;
  });
}

async function timeline({ client }: Bed, victim: string) {
  const { ha } = await client.call(hostOperations.get, { params: { host: victim } });
  if (ha.incidentId === null) throw new Error(`${victim} has no incident`);
  const incident = await client.call(haOperations.get, { params: { incident: ha.incidentId } });
  const openedMs = Date.parse(incident.openedAt);
  return incident.timeline.map(({ kind, message, sinceMs }) => ({ kind, message, atMs: openedMs + sinceMs }));
}
