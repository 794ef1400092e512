/**
 * How a server becomes a host: a one-time token made by an administrator, redeemed with a certificate request.
 *
 * Invariants: a token works once and only in its time; only its hash is kept; a join that is refused (a name that is
 * taken, a bad request) leaves it unused.
 */
import { createHash } from 'node:crypto';
import { formatJoinToken } from '@kvasir/api/agent/join-token.ts';
import { type JoinAnswer, JoinRequest } from '@kvasir/api/agent/link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Compile } from 'typebox/compile';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Store } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { hosts } from '../store/hosts.ts';
import { joinTokens, useJoinToken } from '../store/join-tokens.ts';
import { firstRevision } from '../store/versioned.ts';
import type { CertificateAuthority } from './ca.ts';

export interface JoinDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly ca: CertificateAuthority;
}

const secretBytes = 32;
const checkRequest = Compile(JoinRequest);

/** `manager` is HOST:PORT that agents dial. */
export async function createJoinToken(
  { store, clock, ids, ca }: JoinDeps,
  input: { readonly clusterId: string; readonly lifetimeMs: number; readonly manager: string },
): Promise<{ readonly token: string; readonly expiresAtMs: number }> {
  const token = formatJoinToken({ manager: input.manager, ca: ca.fingerprint, secret: ids.token(secretBytes) });
  const createdAt = clock.now();
  const expiresAt = createdAt + input.lifetimeMs;
  await store.transaction(async (tx) => {
    await joinTokens.insert(tx, {
      id: ids.uuid(),
      tokenHash: hashOf(token),
      clusterId: input.clusterId,
      userId: null,
      createdAt,
      expiresAt,
      usedAt: null,
      hostId: null,
    });
  });
  return { token, expiresAtMs: expiresAt };
}

/** @throws KvasirError invalid-request, name-taken */
export async function joinHost({ store, clock, ids, ca }: JoinDeps, body: unknown): Promise<JoinAnswer> {
  if (!checkRequest.Check(body)) {
    const [first] = checkRequest.Errors(body);
    throw new KvasirError('invalid-request', {
      reason: `${first?.instancePath ?? ''} ${first?.message ?? 'is wrong'}`,
    });
  }
  const { token, name, address, csrPem } = body;
  const tokenHash = hashOf(token);
  const found = await joinTokens.find(store.db, { tokenHash });
  // Looked at before anything is signed, so that strangers cost nothing.
  if (found === undefined || found.usedAt !== null || found.expiresAt <= clock.now()) throw uselessToken();
  const hostId = ids.uuid();
  const certificate = await ca.issueHost(hostId, csrPem);
  const now = clock.now();
  await store.transaction(async (tx) => {
    const used = await useJoinToken(tx, tokenHash, { now, hostId });
    if (used === undefined) throw uselessToken();
    await hosts.insert(tx, {
      ...firstRevision(hostId, now),
      name,
      description: '',
      labels: {},
      clusterId: used.clusterId,
      state: 'joining',
      schedulable: true,
      address,
      virtualization: null,
      cpus: 0,
      cpuModel: '',
      memoryMib: 0,
      versions: {},
      inventory: null,
      certificateFingerprint: certificate.fingerprint,
      lastSeenAt: null,
    });
    const target = { kind: 'host', id: hostId, name };
    await appendEvent(tx, { at: now, kind: 'host.joined', message: `Host ${name} joined from ${address}`, target });
  });
  return { hostId, certificatePem: certificate.certificatePem, caPem: ca.certificatePem };
}

function uselessToken(): KvasirError {
  return new KvasirError('invalid-request', {
    reason: 'the join token is unknown, was used before, or its time is over',
  });
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
