/**
 * Labs that tests make: each is named after its process, so that several runs don't meet, and so that what an
 * interrupted run left can be told from what is in use.
 */
import { existsSync, readdirSync } from 'node:fs';
import { networkNamespaces } from './fabric.ts';
import { Lab } from './lab.ts';
import { labsDirectory } from './layout.ts';

/** A name for a lab of this process; `suffix` (letters) tells several apart. */
export function testLabName(suffix = ''): string {
  return `t${process.pid}${suffix}`;
}

/** Names of test labs whose process is gone, out of directory and namespace names. */
export function abandoned(names: Iterable<string>, isAlive: (pid: number) => boolean): string[] {
  const found = new Set<string>();
  for (const name of names) {
    const pid = /^t([0-9]+)[a-z]*$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) found.add(name);
  }
  return [...found].sort();
}

/** Removes what interrupted test runs left on the machine; returns the names. */
export async function removeAbandonedTestLabs(): Promise<string[]> {
  const directories = existsSync(labsDirectory) ? readdirSync(labsDirectory) : [];
  const namespaces = networkNamespaces().flatMap((name) => /^kv-(t[0-9]+[a-z]*)-/.exec(name)?.[1] ?? []);
  const names = abandoned([...directories, ...namespaces], (pid) => existsSync(`/proc/${pid}`));
  for (const name of names) await Lab.remove(name);
  return names;
}
