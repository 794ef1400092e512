/**
 * How long a change of a security group takes until every host with a member has it: one manager, many agents as in
 * `bench/scale`, one VM a host on one VXLAN network, all in the project's default group. A host has it when its network driver
 * (simulated: programming takes no time) has been given the slice with the new rule.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { poolOperations } from '@kvasir/api/resources/pool.ts';
import { securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { AgentsProcess } from '../scale/agents-process.ts';
import { createVms } from '../scale/creates.ts';
import { ManagerProcess } from '../scale/manager-process.ts';
import { importImage, joinHosts } from '../scale/scale.ts';
import { poolName, poolPath } from '../scale/sizes.ts';
import { type Summary, summarize } from '../statistics.ts';

export interface ConvergenceOptions {
  readonly hosts: number;
  readonly vms: number;
  readonly rounds: number;
  /** Of each phase and each round. */
  readonly limitMs: number;
  /** Where the manager writes a profile of its processor time. */
  readonly cpuProfileFolder?: string | undefined;
  readonly progress: (phase: string) => void;
}

export interface ConvergenceReport {
  readonly connected: number;
  /** Hosts with a member of the group. */
  readonly concerned: number;
  readonly runningVms: number;
  readonly answerMs: Summary;
  readonly halfMs: Summary;
  readonly allMs: Summary;
  /** Why it are not all rounds; null: they are. */
  readonly incomplete: string | null;
}

const network = 'tenant';
const group = 'default';
const firstPort = 20_000;
/** What creating left behind is worked off by then. */
const restMs = 5000;

export async function measureConvergence({ progress, ...options }: ConvergenceOptions): Promise<ConvergenceReport> {
  const { hosts, vms, limitMs } = options;
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-bench-'));
  const ends: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const manager = await ManagerProcess.start(folder, {
      database: 'sqlite',
      cpuProfileFolder: options.cpuProfileFolder,
    });
    ends.push(() => manager.stop());
    const agents = new AgentsProcess();
    ends.push(() => agents.stop());
    const { client } = manager;
    await client.call(poolOperations.create, { body: { name: poolName, path: poolPath, shared: true } });
    progress(`${hosts} hosts join`);
    const joined = await joinHosts(manager, agents, folder, { hosts, limitMs });
    const connected = await agents.connect(joined.count, limitMs);
    await importImage(manager, limitMs);
    const subnets = [{ cidr: '10.0.0.0/16' }];
    await client.call(networkOperations.create, { body: { name: network, kind: 'vxlan', subnets } });
    progress(`${vms} VMs`);
    const created = await createVms(client, { count: vms, atOnce: 32, limitMs, network });
    // Placement spreads: every host has one before any has two.
    const concerned = Math.min(connected.count, created.running);
    await delay(restMs);
    progress(`${options.rounds} changes`);
    const rounds: { answerMs: number; halfMs: number; allMs: number }[] = [];
    let incomplete = created.incomplete;
    for (let round = 0; round < options.rounds && incomplete === null; round += 1) {
      const port = firstPort + round;
      const applied = await agents.watchRule(port, concerned, limitMs);
      const asked = performance.now();
      await client.call(securityGroupOperations.addRule, {
        params: { securityGroup: group },
        body: { direction: 'in', protocol: 'tcp', portFrom: port },
      });
      const answeredAt = Date.now();
      const answerMs = performance.now() - asked;
      const times = await applied();
      if (times === null) incomplete = `the limit of ${limitMs} ms was hit`;
      // A host may have it before the answer has arrived here.
      else
        rounds.push({
          answerMs,
          halfMs: Math.max(0, times.halfAtMs - answeredAt),
          allMs: Math.max(0, times.allAtMs - answeredAt),
        });
    }
    return {
      connected: connected.count,
      concerned,
      runningVms: created.running,
      answerMs: summarize(rounds.map(({ answerMs }) => answerMs)),
      halfMs: summarize(rounds.map(({ halfMs }) => halfMs)),
      allMs: summarize(rounds.map(({ allMs }) => allMs)),
      incomplete,
    };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
