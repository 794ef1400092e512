/**
 * What the keeper is told, in one file that the agent writes and the keeper reads: so it goes on after a restart of the host
 * without agent and manager. Mode 0600, for it holds the key of the probes.
 *
 * The keeper outlives agents, so either may be of another release than the other, older or newer, and the file is read by both. Hence:
 * - Who reads it leaves out what it does not know, at any depth. Likewise with what keeper and agent say (`keeper-socket.ts`).
 * - A field that comes later is optional: an older agent writes the file anew without it. What it says may be left out by an older
 *   keeper; what may not, as another way to keep a lease, makes a plan of its own kind that an older keeper refuses as a whole.
 * - A keeper that refuses the file stays by the last one that it took. The agent then asks it to take its promises back and to end, and
 *   starts the one of its own release (`drivers/keeper/driver.ts`).
 */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { closed, nullable } from '@kvasir/api/schema.ts';
import { type Static, Type } from 'typebox';
import { Check, Clean } from 'typebox/value';
import { readKeptFile, unfinishedEnding, writeKeptFile } from '@kvasir/api/kept-file.ts';

export const KeeperFile = closed({
  hostId: Type.String(),
  /** Management address. */
  address: Type.String(),
  specsDirectory: Type.String(),
  watchdogDevice: nullable(Type.String()),
  /** Of a stand-in for a watchdog; null: the device is asked. */
  watchdogTimeoutMs: nullable(Type.Integer({ minimum: 1 })),
  uplinks: Type.Array(Type.String()),
  plan: nullable(LivenessPlan),
  places: Type.Array(closed({ poolId: Type.String(), path: Type.String() })),
});
export type KeeperFile = Static<typeof KeeperFile>;

const otherForm = 'is not what the agent wrote';

/** Whether a keeper, of any release, said that it cannot read what the agent wrote, rather than that it could not read it just now. */
export function isOtherForm(error: string): boolean {
  return error.endsWith(otherForm);
}

/** Undefined when there is none. @throws Error when it is of a form that this release does not know */
export async function readKeeperFile(path: string): Promise<KeeperFile | undefined> {
  const text = await readKeptFile(path);
  if (text === undefined) return undefined;
  const value = Clean(KeeperFile, JSON.parse(text));
  if (!Check(KeeperFile, value)) throw new Error(`${path} ${otherForm}`);
  return value;
}

/** @throws Error when it could not be read again; then it stays as it was */
export async function writeKeeperFile(path: string, content: KeeperFile): Promise<void> {
  if (!Check(KeeperFile, content))
    throw new Error('what the keeper of the leases is to be told has a form that it cannot read');
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeKeptFile(path, JSON.stringify(content), `${path}.${randomUUID()}${unfinishedEnding}`);
}
