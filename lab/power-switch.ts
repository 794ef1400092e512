/**
 * The lab's program for power: runs the hosts' BMCs and watchdogs, and does to a host what they say. Truth is asked of the
 * kernel each time, and the power goes at once, before anything is recorded: a lab command that holds the lock delays no
 * power failure.
 * Usage: power-switch.ts LAB
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { bmcMode, powerFiles, readBmcs } from './bmc.ts';
import { BmcSimulator } from './bmc-simulator.ts';
import { LabHost } from './host.ts';
import { Lab } from './lab.ts';
import type { LabLayout } from './layout.ts';
import { isRunning, signal, until } from './processes.ts';
import { LabWatchdog } from './watchdog.ts';

const lookEveryMs = 100;
const slowMs = 4000;
const shutDownWithinMs = 60_000;

interface Device {
  readonly host: LabHost;
  readonly bmc: BmcSimulator;
  readonly watchdog: LabWatchdog;
  resets: number;
  booting: boolean;
}

function tell(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}

class PowerSwitch {
  readonly #lab: LabLayout;
  readonly #devices = new Map<string, Device>();
  #shown = '';

  constructor(lab: LabLayout) {
    this.#lab = lab;
  }

  async run(): Promise<never> {
    this.#listen();
    for (;;) {
      for (const bmc of readBmcs(this.#lab)) {
        if (this.#devices.has(bmc.host)) continue;
        const host = new LabHost(this.#lab, bmc.host);
        const watchdog = new LabWatchdog(host);
        await watchdog.open();
        const device = { host, bmc: new BmcSimulator(this.#lab, bmc), watchdog, resets: 0, booting: false };
        this.#devices.set(bmc.host, device);
      }
      for (const device of this.#devices.values()) {
        device.bmc.tend();
        if (device.booting || !device.watchdog.look()) continue;
        device.resets += 1;
        tell(`the watchdog of ${device.host.name} was not petted: reset`);
        this.#reset(device);
      }
      this.#show();
      await delay(lookEveryMs);
    }
  }

  /** What the BMCs' control program asks: `HOST get power`, `HOST set power 0|1`, `HOST set reset 1`, `HOST set shutdown 1`. */
  #listen(): Server {
    const { socket } = powerFiles(this.#lab);
    rmSync(socket, { force: true });
    const server = createServer({ allowHalfOpen: true }, (client) => {
      client.on('error', () => {});
      client.setEncoding('utf8').once('data', (text: string) => {
        void this.#order(text.trim().split(/\s+/)).then((answer) => client.end(answer));
      });
    });
    return server.listen(socket);
  }

  async #order([name = '', verb, what, value]: readonly string[]): Promise<string> {
    const device = this.#devices.get(name);
    if (device === undefined) return '';
    const mode = bmcMode(this.#lab, name);
    if (mode === 'slow') await delay(slowMs);
    if (verb === 'get') return what === 'power' ? `power:${this.#isOn(device) ? 1 : 0}\n` : `${what ?? ''}:0\n`;
    if (mode === 'lies') return '';
    tell(`the BMC of ${name} is told: ${what ?? ''} ${value ?? ''}`);
    if (what === 'power' && value === '0') this.#off(device);
    else if (what === 'power') this.#on(device);
    else if (what === 'reset' && value === '1') this.#reset(device);
    else if (what === 'shutdown' && value === '1') this.#pressButton(device);
    return '';
  }

  #isOn(device: Device): boolean {
    return device.booting || device.host.init() !== undefined;
  }

  #cut(device: Device): void {
    const init = device.host.init();
    if (init !== undefined) signal(init, 'SIGKILL');
    device.watchdog.reset();
  }

  #off(device: Device): void {
    this.#cut(device);
    this.#later(device, (lab) => lab.powerOff(device.host.name));
  }

  /** Its first process ends its services in order, and then itself. */
  #pressButton(device: Device): void {
    const init = device.host.init();
    if (init === undefined || device.booting) return;
    signal(init, 'SIGTERM');
    this.#later(device, async (lab) => {
      await until(`${device.host.name} has shut down`, shutDownWithinMs, () => !isRunning(init));
      await lab.powerOff(device.host.name);
    });
  }

  #on(device: Device): void {
    if (this.#isOn(device)) return;
    device.booting = true;
    this.#later(device, (lab) => lab.powerOn(device.host.name));
  }

  #reset(device: Device): void {
    this.#cut(device);
    device.booting = true;
    this.#later(device, async (lab) => {
      // Until its last process is gone it would look as if it ran already.
      await device.host.powerOff();
      await lab.powerOn(device.host.name);
    });
  }

  #later(device: Device, work: (lab: Lab) => Promise<void>): void {
    work(Lab.open(this.#lab.name))
      .catch((error: unknown) => tell(`${device.host.name}: ${String(error)}`))
      .finally(() => (device.booting = false));
  }

  #show(): void {
    const { status } = powerFiles(this.#lab);
    const entries = [...this.#devices.values()].map(({ host, watchdog, resets }) => [
      host.name,
      { watchdog: watchdog.isArmed ? 'armed' : 'off', resets },
    ]);
    const text = JSON.stringify(Object.fromEntries(entries));
    if (text === this.#shown) return;
    this.#shown = text;
    writeFileSync(`${status}.new`, text);
    renameSync(`${status}.new`, status);
  }
}

if (import.meta.main) {
  const [name] = process.argv.slice(2);
  if (name === undefined) process.exit(2);
  await new PowerSwitch(Lab.open(name).layout).run();
}
