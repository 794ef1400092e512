/**
 * NoCloud seeds: a small ISO with the label `cidata` for each VM that wants cloud-init, in the agent's own folder (it may
 * carry secrets, so: 0600, and never in a pool). Beside it lies a digest of what it was made from, so that the same content
 * keeps the same file and a running VM's drive is not replaced under it.
 *
 * `user-data` is given to the guest untouched: merging into a user's YAML or script could change its meaning. Hostname and
 * SSH keys travel in `meta-data` (`local-hostname`, `public-keys`), which cloud-init applies beside any user-data: the
 * keys go to the image's default user unless user-data says otherwise.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from '@kvasir/api/kept-file.ts';
import type { CloudInit } from '@kvasir/api/resources/vm.ts';
import { runProgram } from '../program.ts';
import type { DiskSource } from '../storage.ts';
import { exists, removeFile, withFile } from './files.ts';
import { makePassable } from './passable.ts';

export type Seed = CloudInit & { readonly instanceId: string };

const temporaryPrefix = '.tmp-';

export class SeedFolder {
  readonly #directory: string;
  /** Done once, before the first use: what an earlier process left half made may carry secrets. */
  #swept: Promise<void> | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async write(vmId: string, name: string, seed: Seed): Promise<DiskSource> {
    const path = this.#path(vmId);
    const digestPath = this.#digestPath(vmId);
    const content = seedContent(name, seed);
    const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex');
    await (this.#swept ??= this.#sweep());
    if ((await exists(path)) && (await readText(digestPath)) === digest) return source(path);
    const work = await mkdtemp(join(this.#directory, temporaryPrefix));
    try {
      const image = await makeImage(work, content);
      await removeFile(digestPath);
      await rename(image, path);
      await syncDirectory(this.#directory);
      const digestFile = join(work, 'digest');
      await writeFile(digestFile, digest, { mode: 0o600 });
      await rename(digestFile, digestPath);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return source(path);
  }

  async remove(vmId: string): Promise<void> {
    await (this.#swept ??= this.#sweep());
    await removeFile(this.#digestPath(vmId));
    await removeFile(this.#path(vmId));
  }

  async #sweep(): Promise<void> {
    await makePassable(this.#directory);
    for (const name of await readdir(this.#directory)) {
      if (name.startsWith(temporaryPrefix)) await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }

  #path(vmId: string): string {
    return join(this.#directory, `${vmId}.iso`);
  }
  #digestPath(vmId: string): string {
    return join(this.#directory, `${vmId}.sha256`);
  }
}

/** File name -> text. `meta-data` is JSON, which is YAML too and needs no quoting rules of our own. */
export function seedContent(name: string, seed: Seed): Record<string, string> {
  const metadata = {
    'instance-id': seed.instanceId,
    'local-hostname': seed.hostname ?? hostnameFrom(name),
    ...(seed.sshKeys === undefined || seed.sshKeys.length === 0 ? {} : { 'public-keys': seed.sshKeys }),
  };
  return {
    'meta-data': `${JSON.stringify(metadata, null, 2)}\n`,
    'user-data': seed.userData ?? '#cloud-config\n{}\n',
    ...(seed.networkConfig === undefined ? {} : { 'network-config': seed.networkConfig }),
  };
}

/** VM names may have dots and underscores, host names not. */
function hostnameFrom(name: string): string {
  return name.replace(/[^A-Za-z0-9-]+/g, '-').replace(/^-+|-+$/g, '') || 'vm';
}

/** Two hosts make the same disk, byte by byte but for the times in it: a VM may move while it reads. */
async function makeImage(work: string, content: Readonly<Record<string, string>>): Promise<string> {
  const files: string[] = [];
  for (const [name, text] of Object.entries(content)) {
    const path = join(work, name);
    await writeFile(path, text, { mode: 0o600 });
    files.push(path);
  }
  const image = join(work, 'seed.iso');
  await runProgram('genisoimage', ['-quiet', '-output', image, '-volid', 'cidata', '-joliet', '-rock', ...files], {
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  });
  await withFile(image, 'r', async (file) => {
    await file.chmod(0o600);
    await file.sync();
  });
  return image;
}

function source(path: string): DiskSource {
  return { kind: 'file', path, format: 'raw' };
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return null;
  }
}
