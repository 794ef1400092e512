/** GuestDriver on a simulated host: answers once a guest has 'booted' (`SimHost.guests`). */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { GuestDriver, GuestExec, GuestReport } from '../guest.ts';
import type { SimHost } from './host.ts';

export class SimGuestDriver implements GuestDriver {
  readonly #host: SimHost;

  constructor(host: SimHost) {
    this.#host = host;
  }

  ping(vmId: string): Promise<boolean> {
    return this.#perform('ping', () => this.#report(vmId) !== null);
  }

  info(vmId: string): Promise<GuestReport> {
    return this.#perform('info', () => this.#require(vmId));
  }

  /** `echo` says its words, `cat` gives back its input, anything else exists not (127). */
  exec(
    vmId: string,
    command: GuestExec,
    signal: AbortSignal,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    return this.#perform(
      'exec',
      () => {
        this.#require(vmId);
        const [program, ...words] = command.argv;
        const name = program?.split('/').at(-1);
        if (name === 'echo') return { exitCode: 0, stdout: `${words.join(' ')}\n`, stderr: '' };
        if (name === 'cat') return { exitCode: 0, stdout: command.stdin ?? '', stderr: '' };
        return { exitCode: 127, stdout: '', stderr: `${program}: not found\n` };
      },
      signal,
    );
  }

  freeze(vmId: string): Promise<{ fileSystems: number }> {
    return this.#perform('freeze', () => ({ fileSystems: this.#require(vmId).agent ? 1 : 0 }));
  }

  thaw(vmId: string): Promise<{ fileSystems: number }> {
    return this.#perform('thaw', () => ({ fileSystems: this.#require(vmId).agent ? 1 : 0 }));
  }

  #report(vmId: string): GuestReport | null {
    const domain = this.#host.domains.get(vmId);
    if (domain === undefined) throw new KvasirError('not-found', { kind: 'domain', id: vmId });
    return domain.guestReport(this.#host);
  }

  #require(vmId: string): GuestReport {
    const report = this.#report(vmId);
    if (report === null) throw new KvasirError('unsupported', { reason: 'the guest agent does not answer' });
    return report;
  }

  #perform<T>(method: keyof GuestDriver, effect: () => T, signal?: AbortSignal): Promise<T> {
    return this.#host.faults.perform(
      `guest.${method}`,
      () =>
        this.#host.stall.through(() => {
          this.#host.requirePower();
          return effect();
        }),
      signal,
    );
  }
}
