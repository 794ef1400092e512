/** What one lab host really has, read from its libvirt, its kernel, its switch and its disk; the half of the census without opinion. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LabHost } from '@kvasir/lab/host.ts';
import { insideHost } from '@kvasir/lab/layout.ts';
import { type ProcessIdentity, processesInNetworkNamespace } from '@kvasir/lab/processes.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';

export interface HostFindings {
  readonly name: string;
  readonly domains: ReadonlyMap<string, { readonly state: string; readonly persistent: boolean }>;
  /** VM id of each QEMU process. */
  readonly qemus: readonly string[];
  /** NIC ids of our ports in the switch, and of our taps in the kernel. */
  readonly switchPorts: readonly string[];
  readonly taps: readonly string[];
  /** VM ids. */
  readonly seeds: readonly string[];
  readonly specs: readonly string[];
  /** File names. */
  readonly localVolumes: readonly string[];
  readonly localImages: readonly string[];
  /** Half-written files and the like, in words. */
  readonly leftovers: readonly string[];
}

export async function lookAtHost(host: LabHost, libvirt: LibvirtClient): Promise<HostFindings> {
  const state = join(host.layout.disk, insideHost.agentState);
  const seeds = names(join(state, 'seeds'));
  const specs = names(join(state, 'vms'));
  const pool = poolFiles(`the local pool of ${host.name}`, join(host.layout.disk, 'local'));
  const strangers = [
    ...seeds.filter((name) => !/\.(iso|sha256)$/.test(name)),
    ...specs.filter((name) => !name.endsWith('.json')),
  ];
  return {
    name: host.name,
    domains: await domainsOf(libvirt),
    qemus: qemuProcesses(host).map(({ vmId }) => vmId),
    switchPorts: await switchPortsOf(host),
    taps: await tapsOf(host),
    seeds: withoutEnding(seeds, '.iso'),
    specs: withoutEnding(specs, '.json'),
    localVolumes: pool.volumes,
    localImages: pool.images,
    leftovers: [...pool.leftovers, ...strangers.map((name) => `file ${name} is left on ${host.name}`)],
  };
}

/** Files of a directory pool; names that are neither a volume's nor an image's count as left over. */
export function poolFiles(pool: string, directory: string) {
  const volumes = names(join(directory, 'volumes'));
  const images = names(join(directory, 'images'));
  const isFile = (name: string): boolean => /^[0-9a-f-]{36}\.(qcow2|raw)$/.test(name);
  // Beside each image lies what was found in it.
  const isNote = (name: string): boolean => /^\.[0-9a-f-]{36}\.json$/.test(name);
  const strangers = [
    ...names(directory).filter((name) => name.startsWith('.tmp-')),
    ...volumes.filter((name) => !isFile(name)),
    ...images.filter((name) => !isFile(name) && !isNote(name)),
  ];
  return {
    volumes: volumes.filter(isFile),
    images: images.filter(isFile),
    leftovers: strangers.map((name) => `file ${name} is left in ${pool}`),
  };
}

async function domainsOf(libvirt: LibvirtClient): Promise<HostFindings['domains']> {
  const found = new Map<string, { state: string; persistent: boolean }>();
  for (const { uuid } of await libvirt.host.listDomains()) {
    const { state } = await libvirt.domain.state(uuid);
    found.set(uuid, { state, persistent: await libvirt.domain.isPersistent(uuid) });
  }
  return found;
}

/** The QEMU processes of a host, each with the id of its VM. */
export function qemuProcesses(host: LabHost): { readonly process: ProcessIdentity; readonly vmId: string }[] {
  return processesInNetworkNamespace(host.layout.namespace).flatMap((process) => {
    const words = commandLine(process.pid);
    const vmId = words[words.indexOf('-uuid') + 1];
    return /qemu-system/.test(words[0] ?? '') && words.includes('-uuid') && vmId !== undefined
      ? [{ process, vmId }]
      : [];
  });
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

async function switchPortsOf(host: LabHost): Promise<string[]> {
  const text = await host.exec(['ovs-vsctl', '--format=json', '--columns=external_ids', 'list', 'Interface']);
  const { data } = JSON.parse(text) as { readonly data: readonly [readonly ['map', readonly [string, string][]]][] };
  return data.flatMap(([[, pairs]]) => {
    const ids = new Map(pairs);
    return ids.has('kvasir-vm') ? [ids.get('iface-id') ?? ''] : [];
  });
}

async function tapsOf(host: LabHost): Promise<string[]> {
  const links = JSON.parse(await host.exec(['ip', '-json', 'link', 'show'])) as readonly {
    readonly ifalias?: string;
  }[];
  return links.flatMap(({ ifalias }) => /^kvasir\/([^/]+)\//.exec(ifalias ?? '')?.[1] ?? []);
}

function names(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function withoutEnding(files: readonly string[], ending: string): string[] {
  return files.filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length));
}
