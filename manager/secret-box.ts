/**
 * Seals secrets that lie in the database (passwords of power devices) with a key that does not: `secret.key` in the data
 * folder. Managers that share a database need the same file; another key is told apart by its mark.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readKeptFile, writeKeptFile } from '@kvasir/api/kept-file.ts';

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const keyFile = 'secret.key';

export class SecretBox {
  readonly #key: Buffer;
  /** Tells which key sealed something. */
  readonly #mark: string;

  constructor(key: Buffer) {
    if (key.length !== keyBytes) throw new RangeError(`a key has ${keyBytes} bytes`);
    this.#key = key;
    this.#mark = createHash('sha256').update('kvasir-key').update(key).digest('hex').slice(0, 8);
  }

  /** With the key of this data folder, made at the first time. */
  static async open(dataFolder: string): Promise<SecretBox> {
    const path = join(dataFolder, keyFile);
    const text = await readKeptFile(path);
    if (text !== undefined) return new SecretBox(Buffer.from(text.trim(), 'base64'));
    const key = randomBytes(keyBytes);
    await writeKeptFile(path, `${key.toString('base64')}\n`);
    return new SecretBox(key);
  }

  /** `about` (an id) is bound in: what was sealed for one row does not open in another. */
  seal(secret: string, about: string): string {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(about));
    const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return `${this.#mark}:${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')}`;
  }

  /** @throws Error that says why, without the secret */
  unseal(text: string, about: string): string {
    const [mark, content = ''] = text.split(':', 2);
    if (mark !== this.#mark) throw new Error(`it was sealed with another key than the one in ${keyFile}`);
    const bytes = Buffer.from(content, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, nonceBytes));
    decipher.setAAD(Buffer.from(about)).setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]).toString('utf8');
  }
}
