/**
 * What the keeper is told, in one file that the agent writes and the keeper reads: so it goes on after a restart of the host
 * without agent and manager. Mode 0600, for it holds the key of the probes.
 */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { closed, nullable } from '@kvasir/api/schema.ts';
import { type Static, Type } from 'typebox';
import { Check } from 'typebox/value';
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

/** Undefined when there is none. @throws Error when it is damaged */
export async function readKeeperFile(path: string): Promise<KeeperFile | undefined> {
  const text = await readKeptFile(path);
  if (text === undefined) return undefined;
  const value: unknown = JSON.parse(text);
  if (!Check(KeeperFile, value)) throw new Error(`${path} is not what the agent wrote`);
  return value;
}

export async function writeKeeperFile(path: string, content: KeeperFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeKeptFile(path, JSON.stringify(content), `${path}.${randomUUID()}${unfinishedEnding}`);
}
