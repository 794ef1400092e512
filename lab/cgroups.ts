/**
 * A control group for each host, so that CPU and memory limits of its VMs work as on a real host. Supports version 2
 * (one tree) and version 1 (a tree for each controller); where neither can be written, hosts run without limits.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './processes.ts';

const usedControllers = ['cpu', 'cpuacct', 'cpuset', 'memory', 'blkio', 'devices'];

export type CgroupTrees = {
  readonly version: 1 | 2 | undefined;
  /** `controllers` as mount option: 'cpu,cpuacct' where both share a tree. */
  readonly trees: readonly { readonly controllers: string; readonly directory: string }[];
};

/** Out of /proc/self/mountinfo: version 1 trees with controllers win over a version 2 tree that has none (hybrid set-up). */
export function parseCgroupTrees(mountinfo: string): CgroupTrees {
  const first: { controllers: string; directory: string }[] = [];
  let second: string | undefined;
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    const directory = left?.split(' ')[4];
    const [type, , options] = right?.split(' ') ?? [];
    if (directory === undefined || type === undefined) continue;
    if (type === 'cgroup2') second ??= directory;
    if (type === 'cgroup') {
      const controllers = (options ?? '').split(',').filter((option) => usedControllers.includes(option));
      if (controllers.length > 0 && !first.some((tree) => tree.controllers === controllers.join(','))) {
        first.push({ controllers: controllers.join(','), directory });
      }
    }
  }
  if (first.length > 0) return { version: 1, trees: first };
  if (second !== undefined) return { version: 2, trees: [{ controllers: '', directory: second }] };
  return { version: undefined, trees: [] };
}

/** Makes the host's groups; returns the environment that launch.sh and init.sh read. */
export function prepareCgroups(name: string): Record<string, string> {
  const { version, trees } = parseCgroupTrees(readFileSync('/proc/self/mountinfo', 'utf8'));
  const joined: string[] = [];
  const usable: string[] = [];
  for (const tree of trees) {
    const directory = join(tree.directory, name);
    try {
      if (version === 2) enableControllers(tree.directory);
      mkdirSync(directory, { recursive: true });
      if (tree.controllers.includes('cpuset')) {
        for (const file of ['cpuset.cpus', 'cpuset.mems']) {
          writeFileSync(join(directory, file), readFileSync(join(tree.directory, file)));
        }
      }
      joined.push(directory);
      usable.push(tree.controllers);
    } catch (error) {
      if (!['EROFS', 'EACCES', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  if (joined.length === 0) return {};
  return {
    KVASIR_LAB_CGROUPS: joined.join(':'),
    ...(version === 2 ? { KVASIR_LAB_CGROUP_V2: '1' } : { KVASIR_LAB_CGROUP_V1: usable.join(' ') }),
  };
}

function enableControllers(root: string): void {
  for (const controller of ['cpu', 'memory', 'io', 'cpuset', 'pids']) {
    try {
      writeFileSync(join(root, 'cgroup.subtree_control'), `+${controller}`);
    } catch {
      // Not offered here, or processes sit in the root of a container's tree: then without this limit.
    }
  }
}

/** Removes the groups named so, once their processes are gone. */
export async function removeCgroups(name: string): Promise<void> {
  const { trees } = parseCgroupTrees(readFileSync('/proc/self/mountinfo', 'utf8'));
  for (const tree of trees) {
    const directory = join(tree.directory, name);
    if (existsSync(directory)) await until(`removal of ${directory}`, 10_000, () => tryRemove(directory));
  }
}

function tryRemove(directory: string): boolean {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) tryRemove(join(directory, entry.name));
    }
    rmdirSync(directory);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
