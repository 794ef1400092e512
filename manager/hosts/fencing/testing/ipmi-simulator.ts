/** OpenIPMI's simulator of a BMC on a port of its own; its power is a file, so tests see what it did. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class IpmiSimulator {
  readonly port: number;
  readonly #directory: string;
  readonly #child: ChildProcess;

  private constructor(port: number, directory: string, child: ChildProcess) {
    this.port = port;
    this.#directory = directory;
    this.#child = child;
  }

  static async open(userName: string, password: string): Promise<IpmiSimulator> {
    const directory = mkdtempSync(join(tmpdir(), 'kvasir-ipmi-'));
    const port = await freeUdpPort();
    mkdirSync(join(directory, 'state'));
    const power = join(directory, 'power');
    const control = join(directory, 'control');
    // The simulator runs it as: control get|set power [0|1], control set shutdown 1
    writeFileSync(
      control,
      `#!/bin/sh\nif [ "$1 $2" = "get power" ]; then echo "power:$(cat ${power})"; fi\n` +
        `if [ "$1 $2" = "set power" ] && [ ! -e ${directory}/stuck ]; then echo "$3" >${power}; fi\n` +
        `if [ "$1 $2" = "set shutdown" ]; then echo 0 >${power}; touch ${directory}/button; fi\n`,
    );
    chmodSync(control, 0o700);
    writeFileSync(power, '1\n');
    const lan = [
      'name "bmc"',
      'set_working_mc 0x20',
      'startlan 1',
      `addr 127.0.0.1 ${port}`,
      'priv_limit admin',
      'allowed_auths_admin none md2 md5 straight',
      'guid a123456789abcdefa123456789abcdef',
      'endlan',
      `chassis_control "${control}"`,
      `user 2 true "${userName}" "${password}" admin 10 none md2 md5 straight`,
    ];
    writeFileSync(join(directory, 'lan.conf'), `${lan.join('\n')}\n`, { mode: 0o600 });
    const emulation = [
      'mc_setbmc 0x20',
      'mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr',
      'mc_enable 0x20',
    ];
    writeFileSync(join(directory, 'sim.emu'), `${emulation.join('\n')}\n`);
    const child = spawn('ipmi_sim', ['-c', 'lan.conf', '-f', 'sim.emu', '-s', 'state', '-n'], {
      cwd: directory,
      stdio: 'ignore',
    });
    await new Promise((resolve, reject) => {
      child.once('spawn', () => resolve(undefined));
      child.once('error', reject);
    });
    return new IpmiSimulator(port, directory, child);
  }

  get power(): 'on' | 'off' {
    return readFileSync(join(this.#directory, 'power'), 'utf8').trim() === '1' ? 'on' : 'off';
  }

  /** Whether the power button was pressed, which its system obeys at once. */
  get wasPressed(): boolean {
    return existsSync(join(this.#directory, 'button'));
  }

  /** It takes orders and does nothing. */
  stick(): void {
    writeFileSync(join(this.#directory, 'stuck'), '');
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGKILL');
      await ended;
    }
    if (existsSync(this.#directory)) rmSync(this.#directory, { recursive: true, force: true });
  }
}

export function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
