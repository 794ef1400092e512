/**
 * The manager's own certificate authority: one EC P-256 key, from which come the manager's server certificate and one
 * client certificate for each host.
 *
 * Kept in the settings table, not in a file: all managers of one database must issue from one CA, and who can read the
 * database can already change everything. A host is revoked by its row (gone, or another fingerprint), so there are no
 * revocation lists, and its certificate may live long.
 */
import 'reflect-metadata';
import { createHash, type webcrypto, X509Certificate as NodeCertificate } from 'node:crypto';
import { isIP } from 'node:net';
import { managerTlsName } from '@kvasir/api/agent/join-token.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  type PublicKey,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509';
import type { Store } from '../store/database.ts';
import { readSetting, writeSetting } from '../store/settings.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 24 * 3600 * 1000;
const caLifeMs = 20 * 365 * dayMs;
const hostLifeMs = 10 * 365 * dayMs;
const serverLifeMs = 365 * dayMs;
/** Hosts' clocks may be behind. */
const backdateMs = dayMs;
const settingKey = 'certificate-authority';

interface StoredCa {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface IssuedCertificate {
  readonly certificatePem: string;
  /** SHA-256 of the certificate (DER), hex. */
  readonly fingerprint: string;
}

export interface ServerIdentity {
  /** Leaf first, then the CA: a server that joins finds the CA by its fingerprint in the handshake. */
  readonly chainPem: string;
  readonly keyPem: string;
}

export class CertificateAuthority {
  readonly certificatePem: string;
  readonly fingerprint: string;
  readonly #key: webcrypto.CryptoKey;
  readonly #now: () => number;

  private constructor(certificatePem: string, key: webcrypto.CryptoKey, now: () => number) {
    this.certificatePem = certificatePem;
    this.fingerprint = fingerprintOf(certificatePem);
    this.#key = key;
    this.#now = now;
  }

  /** Loads the database's CA, or makes it. */
  static async open(store: Store, now: () => number): Promise<CertificateAuthority> {
    const existing = await readSetting<StoredCa>(store.db, settingKey);
    const stored = existing ?? (await CertificateAuthority.#create(store, now));
    const key = await crypto.subtle.importKey('pkcs8', fromPem(stored.keyPem), algorithm, false, ['sign']);
    return new CertificateAuthority(stored.certificatePem, key, now);
  }

  static async #create(store: Store, now: () => number): Promise<StoredCa> {
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerial(),
      name: 'CN=Kvasir CA',
      notBefore: new Date(now() - backdateMs),
      notAfter: new Date(now() + caLifeMs),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    const keyPem = toPem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey));
    const made: StoredCa = { certificatePem: pemOf(certificate), keyPem };
    return await store.transaction(async (tx) => {
      // Another manager may have been faster.
      const existing = await readSetting<StoredCa>(tx, settingKey);
      if (existing === undefined) await writeSetting(tx, settingKey, made);
      return existing ?? made;
    });
  }

  /** A certificate with a fresh key for the manager itself: its fixed name and the addresses that agents dial. */
  async issueServer(addresses: readonly string[]): Promise<ServerIdentity> {
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const names = addresses.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value }));
    const certificate = await this.#issue(managerTlsName, keys.publicKey, serverLifeMs, [
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: 'dns', value: managerTlsName }, ...names]),
    ]);
    return {
      chainPem: `${pemOf(certificate)}${this.certificatePem}`,
      keyPem: toPem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey)),
    };
  }

  /**
   * A client certificate for a host; of the request only the key is taken.
   * @throws KvasirError invalid-request for a request that is malformed, not signed by its own key, or has another kind of key
   */
  async issueHost(hostId: string, csrPem: string): Promise<IssuedCertificate> {
    const certificate = await this.#issue(hostId, await publicKeyOf(csrPem), hostLifeMs, [
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
    ]);
    const certificatePem = pemOf(certificate);
    return { certificatePem, fingerprint: fingerprintOf(certificatePem) };
  }

  async #issue(
    commonName: string,
    publicKey: webcrypto.CryptoKey | PublicKey,
    lifeMs: number,
    extensions: readonly Extension[],
  ): Promise<X509Certificate> {
    return await X509CertificateGenerator.create({
      serialNumber: newSerial(),
      subject: `CN=${commonName}`,
      issuer: 'CN=Kvasir CA',
      notBefore: new Date(this.#now() - backdateMs),
      notAfter: new Date(this.#now() + lifeMs),
      signingKey: this.#key,
      publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        ...extensions,
      ],
    });
  }
}

async function publicKeyOf(csrPem: string): Promise<PublicKey> {
  const refuse = (reason: string): KvasirError => new KvasirError('invalid-request', { reason });
  let csr: Pkcs10CertificateRequest;
  try {
    csr = new Pkcs10CertificateRequest(csrPem);
  } catch {
    throw refuse('the certificate request is malformed');
  }
  const { name, namedCurve } = csr.publicKey.algorithm as { name?: string; namedCurve?: string };
  if (name !== algorithm.name || namedCurve !== algorithm.namedCurve) throw refuse('the key must be EC P-256');
  if (!(await csr.verify().catch(() => false))) throw refuse('the certificate request is not signed by its own key');
  return csr.publicKey;
}

/** SHA-256 of a certificate (DER), hex. */
export function fingerprintOf(certificatePem: string): string {
  return fingerprintOfDer(new NodeCertificate(certificatePem).raw);
}

export function fingerprintOfDer(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/** Positive, 16 bytes. */
function newSerial(): string {
  const bytes = crypto.getRandomValues(Buffer.alloc(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pemOf(certificate: X509Certificate): string {
  return toPem('CERTIFICATE', certificate.rawData);
}

function toPem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function fromPem(pem: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64'));
}
