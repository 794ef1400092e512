/**
 * Passwords as argon2id, secrets of tokens as SHA-256. A stored password carries its own parameters, so they can grow later.
 * Verification of an unknown user takes as long as that of a known one.
 */
import { argon2, createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify(argon2);

/** OWASP's second choice: 19 MiB, two passes, one lane. About 35 ms of one thread-pool thread. */
const cost = { memory: 19_456, passes: 2, parallelism: 1 };
const tagLength = 32;

/** `argon2id$memory$passes$lanes$salt$tag`, base64url. */
export async function hashPassword(password: string): Promise<string> {
  const nonce = randomBytes(16);
  const tag = await derive('argon2id', { message: password, nonce, tagLength, ...cost });
  return [
    'argon2id',
    cost.memory,
    cost.passes,
    cost.parallelism,
    nonce.toString('base64url'),
    tag.toString('base64url'),
  ].join('$');
}

/** Whether the password fits; with no stored hash it computes one anyway and says no. */
export async function verifyPassword(password: string, stored: string | undefined): Promise<boolean> {
  const [kind, memory, passes, parallelism, salt, tag] = (stored ?? unknownUser).split('$');
  if (kind !== 'argon2id' || salt === undefined || tag === undefined) return false;
  const expected = Buffer.from(tag, 'base64url');
  const actual = await derive('argon2id', {
    message: password,
    nonce: Buffer.from(salt, 'base64url'),
    tagLength: expected.length,
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
  });
  return timingSafeEqual(actual, expected) && stored !== undefined;
}

const unknownUser = `argon2id$${cost.memory}$${cost.passes}$${cost.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** A secret with 256 bits of randomness; the prefix says what it is (also to secret scanners). */
export function newSecret(prefix: 'kvs' | 'kvt'): string {
  return `${prefix}_${randomBytes(32).toString('base64url')}`;
}

/** What is stored of a secret. It has enough randomness that a fast hash without salt suffices. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
