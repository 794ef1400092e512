/** The seam to chance: ids, secrets, jitter. Nothing else in the manager asks a random source, so that a simulation can give a seed. */
import { randomBytes, randomUUID } from 'node:crypto';

export interface Ids {
  /** A random UUID in lower case. */
  uuid(): string;
  /** A secret of `bytes` random bytes, base64url. */
  token(bytes: number): string;
  /** A number in [0, 1), for jitter only. */
  fraction(): number;
}

export const systemIds: Ids = {
  uuid: () => randomUUID(),
  token: (bytes) => randomBytes(bytes).toString('base64url'),
  fraction: () => randomBytes(4).readUInt32LE() / 2 ** 32,
};
