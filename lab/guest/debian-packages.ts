/**
 * Takes files out of Debian packages without installing them: a kernel or a guest agent installed on the machine would
 * start to matter to it. Owns the look-up of what a package name stands for at the moment, and the unpacking.
 */
import { readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, run } from '../command.ts';

export type DebianPackage = { readonly name: string; readonly version: string; readonly depends: readonly string[] };

export class PackageNotFoundError extends Error {}

/** The first stanza of `apt-cache show`: the version that would be installed. Alternatives and versions in Depends are dropped. */
export function parseStanza(text: string): DebianPackage | undefined {
  const fields = new Map<string, string>();
  for (const line of (text.split('\n\n')[0] ?? '').split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0 && !line.startsWith(' ')) fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const name = fields.get('Package');
  const version = fields.get('Version');
  if (name === undefined || version === undefined) return undefined;
  const depends = (fields.get('Depends') ?? '')
    .split(',')
    .map((each) => each.trim().split(/[ (|:]/)[0] ?? '')
    .filter((each) => each !== '');
  return { name, version, depends };
}

/** @throws {PackageNotFoundError} when it is in no package list, also after these were fetched again */
export async function findPackage(name: string): Promise<DebianPackage> {
  const ask = async (): Promise<DebianPackage | undefined> =>
    parseStanza((await attempt(['apt-cache', 'show', '--no-all-versions', name])).stdout);
  let found = await ask();
  if (found === undefined) {
    await run(['apt-get', '-q', 'update'], { timeoutMs: 300_000 });
    found = await ask();
  }
  if (found === undefined) throw new PackageNotFoundError(`Debian's package lists have no ${name}`);
  return found;
}

/** The package that a name like linux-image-cloud-amd64 stands for: what it depends on under `prefix`. */
export async function resolveMetaPackage(name: string, prefix: RegExp): Promise<DebianPackage> {
  const meta = await findPackage(name);
  const real = meta.depends.find((each) => prefix.test(each));
  if (real === undefined)
    throw new PackageNotFoundError(`${name} ${meta.version} depends on no package like ${prefix}`);
  return findPackage(real);
}

/** Downloads exactly that version and unpacks its files below `directory`. */
export async function unpackPackage(wanted: DebianPackage, directory: string): Promise<void> {
  const downloads = join(directory, '..', `${wanted.name}.download`);
  await mkdir(downloads, { recursive: true });
  await mkdir(directory, { recursive: true });
  const download = ['apt-get', '-q', '-o', 'APT::Sandbox::User=root', 'download', `${wanted.name}=${wanted.version}`];
  if ((await attempt(download, { cwd: downloads, timeoutMs: 300_000 })).exitCode !== 0) {
    // The lists may be older than what the mirror still has.
    await run(['apt-get', '-q', 'update'], { timeoutMs: 300_000 });
    await run(download, { cwd: downloads, timeoutMs: 300_000 });
  }
  const archive = readdirSync(downloads).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new PackageNotFoundError(`the download of ${wanted.name} left no package`);
  await run(['dpkg-deb', '-x', join(downloads, archive), directory], { timeoutMs: 120_000 });
}
