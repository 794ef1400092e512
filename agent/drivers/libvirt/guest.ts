/** The guest agent (qemu-ga) through libvirt: GuestDriver, and what the reports say of a guest. */
import { isIP } from 'node:net';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { isLibvirtError } from '@kvasir/libvirt/error.ts';
import type { GuestDriver, GuestExec, GuestReport } from '../guest.ts';
import { translating } from './errors.ts';

/** Of the agent: it is asked to synchronize, and then what is asked. */
const answerTimeoutSeconds = 5;
/** libvirt waits for up to 30 s until another question to the same agent is over, then for the agent. Without an answer by then it hangs. */
const libvirtAnswersWithinMs = 45_000;
const execPollMs = 100;
/** Of what a guest says of itself. */
const mostCharacters = 255;
const mostAddresses = 100;

interface ExecStatus {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly signal?: number;
  readonly 'out-data'?: string;
  readonly 'err-data'?: string;
}

export class LibvirtGuest implements GuestDriver {
  readonly #client: LibvirtClient;

  constructor(client: LibvirtClient) {
    this.#client = client;
  }

  /** False: there is no agent that answers. What says nothing of the agent, as a libvirt that is busy, is thrown. */
  async ping(vmId: string): Promise<boolean> {
    try {
      await this.#command(vmId, 'guest-ping');
      return true;
    } catch (error) {
      if (error instanceof KvasirError && error.code === 'unsupported') return false;
      throw error;
    }
  }

  async info(vmId: string): Promise<GuestReport> {
    // One after the other, as libvirt asks anyway: an agent that does not answer the first keeps nobody waiting for the others.
    const host = await this.#command<{ 'host-name'?: unknown }>(vmId, 'guest-get-host-name');
    const os = await this.#command<{ 'pretty-name'?: unknown }>(vmId, 'guest-get-osinfo').catch(() => null);
    // Not by libvirt's own call for it, which waits for the agent for ever.
    const nics = await this.#command<unknown>(vmId, 'guest-network-get-interfaces').catch(() => []);
    const addresses = listOf<{ name?: unknown; 'ip-addresses'?: unknown }>(nics)
      .filter((nic) => nic?.name !== 'lo')
      .flatMap((nic) => listOf<{ 'ip-address'?: unknown }>(nic?.['ip-addresses']))
      .map((address) => address?.['ip-address'])
      .filter((address) => typeof address === 'string')
      .filter((address) => isIP(address) !== 0 && !address.startsWith('fe80:'));
    return {
      agent: true,
      hostname: said(host['host-name']),
      os: said(os?.['pretty-name']),
      addresses: [...new Set(addresses)].slice(0, mostAddresses),
    };
  }

  async exec(
    vmId: string,
    command: GuestExec,
    signal: AbortSignal,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const [path, ...arg] = command.argv;
    const input = command.stdin === null ? {} : { 'input-data': Buffer.from(command.stdin).toString('base64') };
    const { pid } = await this.#command<{ pid: number }>(vmId, 'guest-exec', {
      path,
      arg,
      'capture-output': true,
      ...input,
    });
    const deadline = performance.now() + command.timeoutMs;
    for (;;) {
      const status = await this.#command<ExecStatus>(vmId, 'guest-exec-status', { pid });
      if (status.exited) {
        return {
          // As shells do it: 128 and the signal's number.
          exitCode: status.exitcode ?? 128 + (status.signal ?? 0),
          stdout: decoded(status['out-data']),
          stderr: decoded(status['err-data']),
        };
      }
      if (signal.aborted) throw new KvasirError('cancelled');
      if (performance.now() > deadline)
        throw new KvasirError('timeout', { what: 'The program in the guest', timeoutMs: command.timeoutMs });
      await new Promise((resolve) => setTimeout(resolve, execPollMs));
    }
  }

  async freeze(vmId: string): Promise<{ fileSystems: number }> {
    return translating(vmId, async () => ({ fileSystems: await this.#client.guest.freeze(vmId) }));
  }

  async thaw(vmId: string): Promise<{ fileSystems: number }> {
    return translating(vmId, async () => ({ fileSystems: await this.#client.guest.thaw(vmId) }));
  }

  async #command<T>(vmId: string, execute: string, args: Readonly<Record<string, unknown>> = {}): Promise<T> {
    return translating(vmId, async () => {
      try {
        const text = await this.#client.guest.agentCommand(
          vmId,
          JSON.stringify({ execute, arguments: args }),
          answerTimeoutSeconds,
          { timeoutMs: libvirtAnswersWithinMs },
        );
        return (JSON.parse(text ?? '{}') as { return: T }).return;
      } catch (error) {
        if (isLibvirtError(error, 'VIR_ERR_OPERATION_INVALID'))
          throw new KvasirError('unsupported', { reason: error.message });
        throw error;
      }
    });
  }
}

/** A guest may say anything; empty: no list. */
function listOf<T>(value: unknown): readonly (T | null)[] {
  return Array.isArray(value) ? (value as (T | null)[]) : [];
}

/** The same; null: no text. */
function said(value: unknown): string | null {
  const text = typeof value === 'string' ? value.slice(0, mostCharacters).replaceAll(/\p{Cc}/gu, '') : '';
  return text === '' ? null : text;
}

function decoded(base64: string | undefined): string {
  return Buffer.from(base64 ?? '', 'base64').toString();
}
