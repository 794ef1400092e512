/** Questions and orders to ovs-vswitchd itself (what `ovs-appctl` does). */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunProgram } from '../program.ts';

export class SwitchControl {
  readonly #runDirectory: string;
  readonly #run: RunProgram;

  constructor(runDirectory: string, run: RunProgram) {
    this.#runDirectory = runDirectory;
    this.#run = run;
  }

  /** Forgets the connections of a zone. */
  async flushZone(zone: number): Promise<void> {
    await this.command('dpctl/flush-conntrack', [`zone=${zone}`]);
  }

  async command(name: string, args: readonly string[]): Promise<string> {
    const sockets = (await readdir(this.#runDirectory)).filter((file) => /vswitchd(\.\d+)?\.ctl$/.test(file));
    const { stdout } = await this.#run('ovs-appctl', ['-t', join(this.#runDirectory, sockets[0] ?? ''), name, ...args]);
    return stdout;
  }
}
