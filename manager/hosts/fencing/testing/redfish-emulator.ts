/** A power device that speaks Redfish, with a certificate of its own, for tests: it takes its time, loses answers and lies when told to. */
import 'reflect-metadata';
import { createHash, X509Certificate as NodeCertificate } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { X509CertificateGenerator } from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export class RedfishEmulator {
  state: 'On' | 'Off' = 'On';
  /** It says 'done' and does nothing. */
  ignoresOrders = false;
  /** Its operating system does not care for the button. */
  ignoresButton = false;
  /** The orders that it knows. */
  knows: readonly string[] = ['On', 'ForceOff', 'GracefulShutdown'];
  readonly orders: string[] = [];
  /** How many questions after an order it takes for the order to have an effect. */
  looksUntilDone = 0;
  /** How many of the next answers get lost. */
  loses = 0;
  readonly requests: { readonly method: string; readonly path: string; readonly authorization: string }[] = [];
  readonly port: number;
  readonly fingerprint: string;
  readonly #close: () => Promise<void>;
  #pending: 'On' | 'Off' | null = null;
  #looks = 0;

  private constructor(port: number, fingerprint: string, close: () => Promise<void>) {
    this.port = port;
    this.fingerprint = fingerprint;
    this.#close = close;
  }

  static async open(userName: string, password: string): Promise<RedfishEmulator> {
    const { key, cert } = await selfSigned();
    const expected = `Basic ${Buffer.from(`${userName}:${password}`).toString('base64')}`;
    const server = createServer({ key, cert }, (request, response) => {
      const path = request.url ?? '';
      const authorization = request.headers.authorization ?? '';
      emulator.requests.push({ method: request.method ?? '', path, authorization });
      if (emulator.loses > 0) {
        emulator.loses -= 1;
        request.socket.destroy();
        return;
      }
      const answer = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (authorization !== expected) return answer(401, {});
      if (path === '/redfish/v1/Systems') return answer(200, { Members: [{ '@odata.id': '/redfish/v1/Systems/1' }] });
      if (path === '/redfish/v1/Systems/1') return answer(200, emulator.#look());
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString()));
      request.on('end', () => {
        emulator.#order((JSON.parse(body) as { ResetType: string }).ResetType);
        answer(200, {});
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const fingerprint = createHash('sha256').update(new NodeCertificate(cert).raw).digest('hex');
    const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
    const emulator: RedfishEmulator = new RedfishEmulator((server.address() as AddressInfo).port, fingerprint, close);
    return emulator;
  }

  close(): Promise<void> {
    return this.#close();
  }

  #look(): object {
    if (this.#pending !== null && this.#looks-- <= 0) {
      this.state = this.#pending;
      this.#pending = null;
    }
    const target = '/redfish/v1/Systems/1/Actions/ComputerSystem.Reset';
    const allowed = { 'ResetType@Redfish.AllowableValues': this.knows };
    return { PowerState: this.state, Actions: { '#ComputerSystem.Reset': { target, ...allowed } } };
  }

  #order(kind: string): void {
    this.orders.push(kind);
    if (this.ignoresOrders || (kind === 'GracefulShutdown' && this.ignoresButton)) return;
    this.#pending = kind === 'On' ? 'On' : 'Off';
    this.#looks = this.looksUntilDone;
  }
}

async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=bmc',
    keys,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replaceAll(/(.{64})/g, '$1\n')}\n-----END PRIVATE KEY-----\n`;
  return { key, cert: certificate.toString('pem') };
}
