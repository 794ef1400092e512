/**
 * Compares what the manager believes with what each host really has, and lists every difference: domains, QEMU processes,
 * volumes and images with leftovers of half-written files, switch ports, taps, seeds, the agents' own records, tasks and
 * their locks. Nothing is expected to be under way; ask with `settledCensus` while things may still come to rest.
 */
import type { Client } from '@kvasir/api/client.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { imageOperations } from '@kvasir/api/resources/image.ts';
import { poolOperations } from '@kvasir/api/resources/pool.ts';
import { projectOperations } from '@kvasir/api/resources/project.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { type Volume, volumeOperations } from '@kvasir/api/resources/volume.ts';
import type { Lab } from '@kvasir/lab/lab.ts';
import { until } from '@kvasir/lab/processes.ts';
import type { Hypervisors } from './hypervisors.ts';
import { type HostFindings, lookAtHost, poolFiles } from './host-findings.ts';
import { TaskDatabase } from './task-database.ts';

export interface CensusParts {
  readonly client: Client;
  readonly lab: Lab;
  readonly hypervisors: Hypervisors;
}

interface Belief {
  readonly vms: readonly Vm[];
  readonly volumes: readonly Volume[];
  readonly imageIds: ReadonlySet<string>;
  readonly openTasks: readonly string[];
  readonly hostNames: ReadonlyMap<string, string>;
  readonly sharedPools: ReadonlySet<string>;
}

const ended = new Set(['succeeded', 'failed', 'cancelled']);
/** VM states that have a domain, and what its domain then is. */
const domainStates: Readonly<Record<string, readonly string[]>> = {
  running: ['running'],
  paused: ['paused'],
  stopped: ['shutoff', 'crashed'],
  suspended: ['shutoff'],
  crashed: ['shutoff', 'crashed', 'paused'],
};

/** Every difference in a line of words; empty when all agree. */
export async function census(parts: CensusParts): Promise<string[]> {
  const belief = await readBelief(parts.client);
  const hosts = await Promise.all(parts.lab.hosts().map((host) => lookAtHost(host, parts.hypervisors.get(host.name)!)));
  const database = new TaskDatabase(parts.lab);
  try {
    return [
      ...belief.openTasks,
      ...database.locks(),
      ...belief.vms.flatMap((vm) => aboutVm(vm, belief, hosts)),
      ...hosts.flatMap((host) => aboutHost(host, belief)),
      ...aboutSharedPool(parts.lab, belief),
    ];
  } finally {
    database.close();
  }
}

/** The differences that are left when all had `timeoutMs` to come to rest. */
export async function settledCensus(parts: CensusParts, timeoutMs = 15_000): Promise<string[]> {
  let last: string[] = [];
  return until('census without a difference', timeoutMs, async () => {
    last = await census(parts);
    return last.length === 0 ? last : undefined;
  }).catch(() => last);
}

async function readBelief(client: Client): Promise<Belief> {
  const projects = await everyItem(client.listAll(projectOperations.list));
  const hosts = await everyItem(client.listAll(hostOperations.list));
  const tasks = await everyItem(client.listAll(taskOperations.list));
  const pools = await everyItem(client.listAll(poolOperations.list));
  const ofProjects = async <T>(list: (project: string) => AsyncGenerator<T>): Promise<T[]> =>
    (await Promise.all(projects.map(({ id }) => everyItem(list(id))))).flat();
  const images = await ofProjects((project) => client.listAll(imageOperations.list, { query: { project } }));
  return {
    vms: await ofProjects((project) => client.listAll(vmOperations.list, { query: { project } })),
    volumes: await ofProjects((project) => client.listAll(volumeOperations.list, { query: { project } })),
    imageIds: new Set(images.map(({ id }) => id)),
    openTasks: tasks
      .filter(({ state }) => !ended.has(state))
      .map((task) => `task ${task.kind} ${task.id} is ${task.state}: ${task.error?.message ?? task.progress.step}`),
    hostNames: new Map(hosts.map(({ id, name }) => [id, name])),
    sharedPools: new Set(pools.filter(({ shared }) => shared).map(({ id }) => id)),
  };
}

function aboutVm(vm: Vm, belief: Belief, hosts: readonly HostFindings[]): string[] {
  const found: string[] = [];
  const at = vm.hostId === null ? undefined : belief.hostNames.get(vm.hostId);
  const expected = domainStates[vm.state];
  if (expected === undefined && !['failed', 'trashed'].includes(vm.state)) found.push(`VM ${vm.name} is ${vm.state}`);
  for (const host of hosts) {
    const domain = host.domains.get(vm.id);
    const here = expected !== undefined && host.name === at;
    if (here && domain === undefined) found.push(`VM ${vm.name} (${vm.state}) has no domain on ${host.name}`);
    if (!here && domain !== undefined) found.push(`VM ${vm.name} (${vm.state}) has a domain on ${host.name} too`);
    if (here && domain !== undefined && !expected.includes(domain.state))
      found.push(`VM ${vm.name} is ${vm.state}, its domain ${domain.state}`);
    if (domain?.persistent === false) found.push(`the domain of VM ${vm.name} on ${host.name} is transient`);
    const qemus = host.qemus.filter((uuid) => uuid === vm.id).length;
    const wanted = here && (vm.state === 'running' || vm.state === 'paused') ? 1 : 0;
    if (qemus !== wanted) found.push(`VM ${vm.name} has ${qemus} QEMU processes on ${host.name}, not ${wanted}`);
  }
  return found;
}

function aboutHost(host: HostFindings, belief: Belief): string[] {
  const hostId = [...belief.hostNames].find(([, name]) => name === host.name)?.[0];
  const known = new Set(belief.vms.map(({ id }) => id));
  const here = belief.vms.filter((vm) => vm.hostId === hostId && vm.state in domainStates);
  const vmIds = here.map(({ id }) => id);
  const nicIds = here.flatMap((vm) => vm.nics.map(({ id }) => id));
  const volumes = belief.volumes.filter((volume) => volume.hostId === hostId && !belief.sharedPools.has(volume.poolId));
  return [
    ...[...host.domains.keys()].filter((id) => !known.has(id)).map((id) => `domain ${id} on ${host.name} is no VM`),
    ...host.qemus.filter((id) => !known.has(id)).map((id) => `QEMU of ${id} on ${host.name} is no VM's`),
    ...difference(`switch port on ${host.name}`, host.switchPorts, nicIds),
    ...difference(`tap on ${host.name}`, host.taps, nicIds),
    ...difference(`agent's record on ${host.name}`, host.specs, vmIds),
    ...surplus(`seed on ${host.name}`, host.seeds, vmIds),
    ...difference(`volume file on ${host.name}`, host.localVolumes, volumes.map(volumeFile)),
    ...surplus(`image file on ${host.name}`, host.localImages.map(imageOf), [...belief.imageIds]),
    ...host.leftovers,
  ];
}

function aboutSharedPool(lab: Lab, belief: Belief): string[] {
  const { volumes, images, leftovers } = poolFiles('the shared pool', lab.layout.sharedStorage);
  const expected = belief.volumes.filter(({ poolId, state }) => belief.sharedPools.has(poolId) && state !== 'failed');
  return [
    ...difference('volume file', volumes, expected.map(volumeFile)),
    ...difference('image file', images.map(imageOf), [...belief.imageIds]),
    ...leftovers,
  ];
}

async function everyItem<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function volumeFile({ id, format }: Volume): string {
  return `${id}.${format}`;
}

function imageOf(file: string): string {
  return file.slice(0, file.lastIndexOf('.'));
}

function difference(what: string, found: readonly string[], expected: readonly string[]): string[] {
  return [
    ...surplus(what, found, expected),
    ...expected.filter((item) => !found.includes(item)).map((item) => `${what} ${item} is missing`),
  ];
}

function surplus(what: string, found: readonly string[], expected: readonly string[]): string[] {
  return found.filter((item) => !expected.includes(item)).map((item) => `${what} ${item} belongs to nothing`);
}
