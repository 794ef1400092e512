/**
 * Makes this server a host: a key that never leaves it, a certificate request, and one POST to the manager with the token.
 *
 * Invariant: nothing is sent before the manager's CA has the fingerprint that the token carries. The CA's certificate comes
 * with the TLS handshake (the manager sends its whole chain); the chain is verified against it by name.
 */
import 'reflect-metadata';
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { request } from 'node:https';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { JoinAnswer, type JoinRequest } from '@kvasir/api/agent/link.ts';
import { managerTlsName, parseJoinToken } from '@kvasir/api/agent/join-token.ts';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { Check } from 'typebox/value';
import { type Identity, loadIdentity, saveIdentity } from './identity.ts';
import { splitEndpoint } from './link/endpoint.ts';

export interface JoinInput {
  readonly directory: string;
  readonly token: string;
  /** HOST:PORT; default: the one in the token. */
  readonly manager: string | undefined;
  readonly name: string;
  readonly address: string;
}

const timeoutMs = 20_000;
const maxAnswerBytes = 65_536;
const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** `joined: false`: this directory has an identity already and nothing was done. */
export async function joinManager(
  input: JoinInput,
): Promise<{ readonly identity: Identity; readonly joined: boolean }> {
  const existing = await loadIdentity(input.directory);
  if (existing !== undefined) return { identity: existing, joined: false };
  const content = parseJoinToken(input.token);
  if (content === undefined) throw new Error('this is not a join token');
  const manager = input.manager ?? content.manager;
  const caPem = await fetchCa(manager, content.ca);
  const keys = await crypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']);
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=kvasir-host',
    keys,
    signingAlgorithm: keyAlgorithm,
  });
  const body: JoinRequest = {
    token: input.token,
    name: input.name,
    address: input.address,
    csrPem: csr.toString('pem'),
  };
  const answer = await post(manager, caPem, body);
  const identity: Identity = {
    record: { hostId: answer.hostId, name: input.name, address: input.address, manager },
    keyPem: pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey)),
    certificatePem: answer.certificatePem,
    caPem,
  };
  await mkdir(input.directory, { recursive: true, mode: 0o700 });
  await saveIdentity(input.directory, identity);
  return { identity, joined: true };
}

/** Shakes hands without trust, looks through the chain for the certificate with the fingerprint, and hangs up. */
function fetchCa(manager: string, fingerprint: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...splitEndpoint(manager),
      servername: managerTlsName,
      minVersion: 'TLSv1.3',
      rejectUnauthorized: false,
      timeout: timeoutMs,
    });
    socket.once('secureConnect', () => {
      const found = chain(socket.getPeerCertificate(true)).find(
        (certificate) => createHash('sha256').update(certificate.raw).digest('hex') === fingerprint,
      );
      socket.destroy();
      if (found !== undefined) resolve(pem('CERTIFICATE', found.raw));
      else
        reject(new Error(`${manager} does not show the CA that the token names: wrong manager, or somebody between`));
    });
    socket.once('timeout', () => socket.destroy(new Error(`${manager} does not answer`)));
    socket.once('error', reject);
  });
}

function chain(leaf: DetailedPeerCertificate): DetailedPeerCertificate[] {
  const certificates = [leaf];
  for (
    let next = leaf.issuerCertificate;
    next !== undefined && !certificates.includes(next);
    next = next.issuerCertificate
  ) {
    certificates.push(next);
  }
  return certificates;
}

function post(manager: string, caPem: string, body: JoinRequest): Promise<JoinAnswer> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const outgoing = request(
      {
        ...splitEndpoint(manager),
        path: '/join',
        method: 'POST',
        ca: caPem,
        servername: managerTlsName,
        minVersion: 'TLSv1.3',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        timeout: timeoutMs,
        agent: false,
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        incoming.on('data', (chunk: Buffer) => {
          bytes += chunk.byteLength;
          if (bytes > maxAnswerBytes) incoming.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        incoming.once('error', reject);
        incoming.once('end', () => {
          try {
            resolve(readAnswer(incoming.statusCode ?? 0, Buffer.concat(chunks).toString('utf8')));
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    outgoing.once('timeout', () => outgoing.destroy(new Error(`${manager} does not answer`)));
    outgoing.once('error', reject);
    outgoing.end(text);
  });
}

function readAnswer(status: number, text: string): JoinAnswer {
  const answer: unknown = JSON.parse(text);
  if (status === 200 && Check(JoinAnswer, answer)) return answer;
  const message = (answer as { message?: unknown } | null)?.message;
  throw new Error(typeof message === 'string' ? message : `the manager answered with status ${status}`);
}

function pem(label: string, der: ArrayBuffer | Buffer): string {
  const lines =
    Buffer.from(der as Buffer)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
