/**
 * The profile file: where the manager is and how to authenticate, by name.
 *
 * Invariants: it is written with mode 0600 and replaced as a whole (a new file, then a rename), so an interruption
 * leaves the old one; the environment (`KVASIR_URL`, `KVASIR_TOKEN`) wins over it.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { unfinishedEnding, writeKeptFile } from '@kvasir/api/kept-file.ts';
import { UsageError } from './usage-error.ts';

export interface Profile {
  readonly url: string;
  readonly token?: string;
  /** Project that commands work in when `--project` is not given. */
  readonly project?: string;
}

export interface ProfileFile {
  readonly current: string;
  readonly profiles: Readonly<Record<string, Profile>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

export const defaultUrl = 'http://127.0.0.1:8080';

export function profilePath(env: Environment): string {
  if (env.KVASIR_CONFIG) return env.KVASIR_CONFIG;
  const folder = env.XDG_CONFIG_HOME ? env.XDG_CONFIG_HOME : join(env.HOME ?? homedir(), '.config');
  return join(folder, 'kvasir', 'config.json');
}

/** The file as it stands; an empty one when there is none. `warn` hears of a file that others can read. */
export async function readProfiles(env: Environment, warn: (line: string) => void): Promise<ProfileFile> {
  const path = profilePath(env);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) warn(`warning: ${path} holds a token and others can read it; run: chmod 600 ${path}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { current: 'default', profiles: {} };
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
  try {
    const file = JSON.parse(text) as Partial<ProfileFile>;
    return { current: file.current ?? 'default', profiles: file.profiles ?? {} };
  } catch {
    throw new UsageError(`${path} is not valid JSON; mend it or remove it and log in again`);
  }
}

export async function writeProfiles(env: Environment, file: ProfileFile): Promise<void> {
  const path = profilePath(env);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeKeptFile(path, `${JSON.stringify(file, null, 2)}\n`, `${path}.${randomUUID()}${unfinishedEnding}`);
}
