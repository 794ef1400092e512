/**
 * The form of a join token: where the manager is, the fingerprint of its CA, and a secret that is good once. It carries
 * the fingerprint so that a server that joins trusts nothing on first use.
 */
import { type Static, Type } from 'typebox';
import { Check } from 'typebox/value';
import { closed } from '../schema.ts';

const JoinTokenContent = closed({
  /** HOST:PORT that agents dial. */
  manager: Type.String({ minLength: 3, maxLength: 300 }),
  /** SHA-256 of the CA's certificate (DER), hex. */
  ca: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  secret: Type.String({ minLength: 20, maxLength: 100 }),
});
export type JoinTokenContent = Static<typeof JoinTokenContent>;

const prefix = 'kvasir-join-';

export function formatJoinToken(content: JoinTokenContent): string {
  return prefix + Buffer.from(JSON.stringify(content)).toString('base64url');
}

/** Undefined for a text that is no join token. */
export function parseJoinToken(token: string): JoinTokenContent | undefined {
  if (!token.startsWith(prefix)) return undefined;
  try {
    const content: unknown = JSON.parse(Buffer.from(token.slice(prefix.length), 'base64url').toString('utf8'));
    return Check(JoinTokenContent, content) ? content : undefined;
  } catch {
    return undefined;
  }
}

/** The name that the manager's certificate carries beside its addresses; agents verify this one, wherever they dial. */
export const managerTlsName = 'kvasir-manager';
