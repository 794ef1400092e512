/** One host's BMC: ipmi_sim with a configuration of its own, started again when it dies, stopped while it is to be broken. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bmc, bmcMode, bmcUser, powerFiles } from './bmc.ts';
import type { LabLayout } from './layout.ts';

const emulation = [
  'mc_setbmc 0x20',
  'mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr',
  'mc_enable 0x20',
  '',
];

export class BmcSimulator {
  readonly host: string;
  readonly #lab: LabLayout;
  readonly #port: number;
  #child: ChildProcess | null = null;

  constructor(lab: LabLayout, bmc: Bmc) {
    this.#lab = lab;
    this.host = bmc.host;
    this.#port = bmc.port;
  }

  /** Makes it run or not, as its mode says. Cheap to call often. */
  tend(): void {
    if (bmcMode(this.#lab, this.host) === 'broken') this.stop();
    else if (this.#child === null) this.#start();
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
    this.#child = null;
  }

  #start(): void {
    const files = powerFiles(this.#lab);
    const directory = join(files.directory, this.host);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(join(directory, 'state'), { recursive: true, mode: 0o700 });
    const password = readFileSync(files.password, 'utf8').trim();
    const settings = [
      `name "${this.host}"`,
      'set_working_mc 0x20',
      'startlan 1',
      `addr 127.0.0.1 ${this.#port}`,
      'priv_limit admin',
      // Everybody on the machine reaches the port.
      'allowed_auths_admin md5',
      'guid a123456789abcdefa123456789abcdef',
      'endlan',
      `chassis_control "${files.control} ${files.socket} ${this.host}"`,
      `user 2 true "${bmcUser}" "${password}" admin 10 md5`,
      '',
    ];
    writeFileSync(join(directory, 'lan.conf'), settings.join('\n'), { mode: 0o600 });
    writeFileSync(join(directory, 'sim.emu'), emulation.join('\n'));
    const child = spawn('ipmi_sim', ['-c', 'lan.conf', '-f', 'sim.emu', '-s', 'state', '-n'], {
      cwd: directory,
      stdio: 'ignore',
    });
    this.#child = child;
    const gone = (): void => {
      if (this.#child === child) this.#child = null;
    };
    child.on('exit', gone);
    child.on('error', gone);
  }
}
