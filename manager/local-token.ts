/**
 * An API token for the operator of this machine, without the password: whoever can write the data folder is its owner anyway.
 * It goes straight into the store (the manager may run meanwhile) and is audited like any other; the secret goes into a
 * file that only its owner can read, never to a log or a command line.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { writeKeptFile } from '@kvasir/api/kept-file.ts';
import { systemIds } from './ids.ts';
import { hashSecret, newSecret } from './services/passwords.ts';
import { apiTokens } from './store/api-tokens.ts';
import { audit } from './store/audit.ts';
import { openDatabase, type Store } from './store/database.ts';
import { appendEvent } from './store/events.ts';
import { users } from './store/users.ts';
import { firstRevision } from './store/versioned.ts';

export interface LocalTokenRequest {
  readonly databaseAddress: string;
  readonly userName: string;
  readonly tokenName: string;
  /** Where the secret is written, mode 0600. */
  readonly output: string;
}

/** Makes the token; one of the same name is revoked by that. @throws KvasirError not-found */
export async function createLocalToken(request: LocalTokenRequest): Promise<void> {
  const store = await openDatabase(request.databaseAddress);
  try {
    const secret = newSecret('kvt');
    await insertToken(store, request, secret);
    await writeKeptFile(request.output, `${secret}\n`);
  } finally {
    await store.close();
  }
}

async function insertToken(store: Store, request: LocalTokenRequest, secret: string): Promise<void> {
  const now = systemClock.now();
  await store.transaction(async (tx) => {
    const user = await users.find(tx, { name: request.userName, disabled: false });
    if (!user) throw new KvasirError('not-found', { kind: users.kind, id: request.userName });
    await apiTokens.remove(tx, { userId: user.id, name: request.tokenName });
    await apiTokens.insert(tx, {
      ...firstRevision(systemIds.uuid(), now),
      name: request.tokenName,
      userId: user.id,
      tokenHash: hashSecret(secret),
      expiresAt: null,
      lastUsedAt: null,
    });
    await appendEvent(tx, {
      at: now,
      kind: 'apiToken.created',
      message: `The API token ${request.tokenName} of ${user.name} was made on the manager's machine`,
      userId: user.id,
    });
    await audit.insert(tx, {
      id: systemIds.uuid(),
      at: now,
      userId: user.id,
      userName: user.name,
      operation: 'apiToken.create',
      path: 'local',
      status: 201,
      code: null,
      projectId: null,
      sourceAddress: 'local',
    });
  });
}
