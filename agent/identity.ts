/**
 * Who this host is, on disk: `agent.json` (id, name, address, manager), `host.key`, `host.crt`, `ca.crt` in the data
 * directory, all mode 0600. `agent.json` is written last: where it is, the identity is whole.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { closed, Id } from '@kvasir/api/schema.ts';
import { type Static, Type } from 'typebox';
import { Check } from 'typebox/value';
import { readKeptFile, writeKeptFile } from '@kvasir/api/kept-file.ts';

export const AgentRecord = closed({
  hostId: Id,
  name: Type.String(),
  address: Type.String(),
  /** HOST:PORT */
  manager: Type.String(),
});
export type AgentRecord = Static<typeof AgentRecord>;

export interface Identity {
  readonly record: AgentRecord;
  readonly keyPem: string;
  readonly certificatePem: string;
  readonly caPem: string;
}

const files = { record: 'agent.json', key: 'host.key', certificate: 'host.crt', ca: 'ca.crt' } as const;

/** Undefined when this directory has none. @throws Error when it is damaged */
export async function loadIdentity(directory: string): Promise<Identity | undefined> {
  const text = await readKeptFile(join(directory, files.record));
  if (text === undefined) return undefined;
  const record: unknown = JSON.parse(text);
  if (!Check(AgentRecord, record)) throw new Error(`${join(directory, files.record)} is not what this agent wrote`);
  const [keyPem, certificatePem, caPem] = await Promise.all(
    [files.key, files.certificate, files.ca].map((name) => readFile(join(directory, name), 'utf8')),
  );
  return { record, keyPem: keyPem!, certificatePem: certificatePem!, caPem: caPem! };
}

export async function saveIdentity(directory: string, identity: Identity): Promise<void> {
  await writeKeptFile(join(directory, files.key), identity.keyPem);
  await writeKeptFile(join(directory, files.certificate), identity.certificatePem);
  await writeKeptFile(join(directory, files.ca), identity.caPem);
  await writeKeptFile(join(directory, files.record), `${JSON.stringify(identity.record, undefined, 2)}\n`);
}
