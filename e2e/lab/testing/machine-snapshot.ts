/** What a lab could leave behind on the machine: namespaces, mounts, control groups, files, processes. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { allPids } from '@kvasir/lab/processes.ts';

/** Everything on the machine that carries the lab's name. */
export function tracesOf(labName: string): string[] {
  const mine = (text: string): boolean => text.includes(`kv-${labName}-`) || text.includes(`/kvasir-lab/${labName}/`);
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const cgroups = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(' - cgroup'))
    .flatMap((line) => readdirSync(line.split(' ')[4] ?? '/'))
    .filter((name) => name.startsWith(`kvasir-lab.${labName}.`));
  const labs = existsSync('/var/lib/kvasir-lab') ? readdirSync('/var/lib/kvasir-lab') : [];
  const sockets = readFileSync('/proc/net/unix', 'utf8').split('\n');
  const processes = allPids().flatMap((pid) => {
    try {
      const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return mine(commandLine) ? [`process ${pid}: ${commandLine}`] : [];
    } catch {
      return [];
    }
  });
  return [
    ...namespaces.filter((name) => name.startsWith(`kv-${labName}-`)),
    ...mounts.filter(mine),
    ...new Set(cgroups),
    ...labs.filter((name) => name === labName),
    ...sockets.filter((line) => line.endsWith(`@kvasir-lab-${labName}`)),
    ...processes,
  ];
}
