/**
 * All simulated hosts in one process: the real agent, once for each host, above simulated drivers, each with a certificate
 * and a link of its own. What differs from a real host: the drivers, and journals in memory instead of on each host's disk.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Agent, startAgent } from '@kvasir/agent/agent.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { simDrivers } from '@kvasir/agent/drivers/sim/drivers.ts';
import type { SimHost } from '@kvasir/agent/drivers/sim/host.ts';
import { simImage } from '@kvasir/agent/drivers/sim/image-content.ts';
import { SimWorld } from '@kvasir/agent/drivers/sim/world.ts';
import type { Identity } from '@kvasir/agent/identity.ts';
import { joinManager } from '@kvasir/agent/join.ts';
import { MemoryJournal } from '@kvasir/agent/journal/journal.ts';
import { MemoryServed } from '@kvasir/agent/journal/served.ts';
import { MemoryVmSpecs } from '@kvasir/agent/journal/vm-specs.ts';
import { dialManager } from '@kvasir/agent/link/dial.ts';
import { noLog } from '@kvasir/agent/log.ts';
import type { AgentsCommand, AgentsReport, HostToJoin } from './agents-messages.ts';
import { inParallel } from './in-parallel.ts';
import { imageFile, poolPath } from './sizes.ts';

/** The manager lets eight servers join at once. */
const joinsAtOnce = 6;
const startsAtOnce = 16;
const pollMs = 10;
const watchMs = 2;
const gib = 1024 ** 3;

const identities: Identity[] = [];
const hosts: SimHost[] = [];
const world = new SimWorld({ clock: systemClock, random: Math.random });
world.sharedDirectory(poolPath).imports.set(imageFile, simImage(gib));
world.sharedDirectory(poolPath).totalMib = 1024 ** 3;

process.on('message', (command: AgentsCommand) => {
  run(command).catch((error: unknown) => report({ done: 'failed', reason: String((error as Error).stack ?? error) }));
});
process.on('disconnect', () => process.exit(0));

function run(command: AgentsCommand): Promise<void> {
  if (command.do === 'join') return joinAll(command.hosts, command.folder);
  return command.do === 'connect' ? connectAll() : watchRule(command.port, command.count);
}

async function joinAll(hosts: readonly HostToJoin[], folder: string): Promise<void> {
  await inParallel(joinsAtOnce, hosts, async ({ name, token }) => {
    const directory = join(folder, name);
    const { identity } = await joinManager({ directory, token, manager: undefined, name, address: '127.0.0.1' });
    report({ done: 'joined', count: identities.push(identity) });
  });
}

async function connectAll(): Promise<void> {
  let count = 0;
  await inParallel(startsAtOnce, identities, async (identity) => {
    const agent = await start(identity);
    while (!agent.isConnected) await delay(pollMs);
    count += 1;
    report({ done: 'connected', count });
  });
}

async function watchRule(port: number, count: number): Promise<void> {
  const waiting = new Set(hosts);
  let halfAtMs = 0;
  report({ done: 'watching' });
  while (hosts.length - waiting.size < count) {
    for (const host of waiting) {
      const told = host.slice.groups.some(({ rules }) => rules.some(({ ports }) => ports?.from === port));
      if (told) waiting.delete(host);
    }
    if (halfAtMs === 0 && hosts.length - waiting.size >= count / 2) halfAtMs = Date.now();
    await delay(watchMs);
  }
  report({ done: 'rule-applied', count: hosts.length - waiting.size, halfAtMs, allAtMs: Date.now() });
}

function start(identity: Identity): Promise<Agent> {
  const { hostId, name, address } = identity.record;
  const host = world.addHost({ hostId });
  hosts.push(host);
  return startAgent({
    drivers: simDrivers(host),
    dial: (signal) => dialManager(identity, signal),
    clock: systemClock,
    fraction: Math.random,
    identity: { hostId, name, address },
    instanceId: randomUUID(),
    journal: new MemoryJournal(),
    specs: new MemoryVmSpecs(),
    served: new MemoryServed(),
    log: noLog,
    hostname: name,
    bootId: 'boot',
    agentVersion: 'bench',
    versions: {},
    status: () => ({ load1: 0, freeMemoryMib: 65_536 }),
  });
}

function report(message: AgentsReport): void {
  if (process.connected) process.send?.(message);
}
