/**
 * Redfish over HTTPS: `GET` of the system's PowerState, `POST` of the action ComputerSystem.Reset, with basic authentication. The
 * device's certificate is either pinned by its fingerprint, as most of them sign themselves, or checked as usual.
 */
import { createHash } from 'node:crypto';
import { request } from 'node:https';
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from 'node:tls';
import type { PowerDriver, PowerOrder } from './device-driver.ts';
import type { FenceDevice } from './power-reading.ts';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

interface System {
  readonly PowerState?: string;
  readonly Actions?: {
    readonly '#ComputerSystem.Reset'?: {
      readonly target?: string;
      readonly 'ResetType@Redfish.AllowableValues'?: readonly string[];
    };
  };
}

const resetTypes = { off: 'ForceOff', on: 'On', 'shut-down': 'GracefulShutdown' } as const;
const bodyLimit = 1024 * 1024;

export class RedfishDriver implements PowerDriver {
  async state(device: FenceDevice, signal: AbortSignal): Promise<'on' | 'off'> {
    const system = await this.#system(device, signal);
    switch (system.PowerState) {
      case 'On':
        return 'on';
      case 'Off':
        return 'off';
      // On its way somewhere: not there yet.
      case 'PoweringOff':
        return 'on';
      case 'PoweringOn':
        return 'on';
      default:
        throw new Error('the device did not say whether its power is on');
    }
  }

  async order(device: FenceDevice, action: PowerOrder, signal: AbortSignal): Promise<void> {
    const path = await this.#path(device, signal);
    const reset = ((await ask(device, 'GET', path, undefined, signal)).body as System).Actions?.[
      '#ComputerSystem.Reset'
    ];
    const target = reset?.target ?? `${path}/Actions/ComputerSystem.Reset`;
    const resetType = resetTypes[action];
    if (reset?.['ResetType@Redfish.AllowableValues']?.includes(resetType) === false)
      throw new Error(`the device does not know the order ${resetType}`);
    await ask(device, 'POST', target, { ResetType: resetType }, signal);
  }

  async #system(device: FenceDevice, signal: AbortSignal): Promise<System> {
    return (await ask(device, 'GET', await this.#path(device, signal), undefined, signal)).body as System;
  }

  /** The system that the device says it controls, unless it is named. */
  async #path(device: FenceDevice, signal: AbortSignal): Promise<string> {
    if (device.systemPath !== null) return device.systemPath;
    const { body } = await ask(device, 'GET', '/redfish/v1/Systems', undefined, signal);
    const members = (body as { readonly Members?: readonly { readonly '@odata.id'?: string }[] }).Members ?? [];
    const path = members[0]?.['@odata.id'];
    if (members.length === 1 && path !== undefined) return path;
    throw new Error(`the device controls ${members.length} systems: say which by its path`);
  }
}

function ask(
  device: FenceDevice,
  method: 'GET' | 'POST',
  path: string,
  content: object | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  const text = content === undefined ? undefined : JSON.stringify(content);
  const pinned = device.certificateFingerprint?.toLowerCase() ?? null;
  return new Promise((resolve, reject) => {
    const asking = request(
      {
        host: device.address,
        port: device.port,
        method,
        path,
        signal,
        agent: false,
        headers: {
          authorization: `Basic ${Buffer.from(`${device.userName}:${device.password}`).toString('base64')}`,
          accept: 'application/json',
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
        // A pinned certificate is checked below, before anything is sent; without a pin the system's authorities decide.
        rejectUnauthorized: pinned === null,
        checkServerIdentity: (host: string, certificate: PeerCertificate) =>
          pinned === null ? checkServerIdentity(host, certificate) : undefined,
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          body += part;
          if (body.length > bodyLimit) response.destroy(new Error('the device says too much'));
        });
        response.on('error', reject);
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          if (status === 401 || status === 403) return reject(new Error('the device refuses the user or the password'));
          if (status < 200 || status >= 300)
            return reject(new Error(`the device answered ${method} with status ${status}`));
          try {
            resolve({ status, body: body === '' ? {} : JSON.parse(body) });
          } catch {
            reject(new Error('the device answered with something else than JSON'));
          }
        });
      },
    );
    asking.on('error', (error) => reject(signal.aborted ? new Error('the device did not answer in time') : error));
    asking.on('socket', (socket) => {
      if (pinned === null) return asking.end(text);
      const tls = socket as TLSSocket;
      tls.once('secureConnect', () => {
        const found = createHash('sha256').update(tls.getPeerCertificate(true).raw).digest('hex');
        // The credentials go out only after this.
        if (found === pinned) asking.end(text);
        else asking.destroy(new Error('the device shows another certificate than the one that is pinned'));
      });
    });
  });
}
