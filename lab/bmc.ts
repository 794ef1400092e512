/**
 * The lab's power devices: for each host a BMC (OpenIPMI's simulator) on a port of 127.0.0.1, out of reach of every cut, and a
 * stand-in for the hardware's watchdog. This file owns their settings and files; power-switch.ts is the program that runs them.
 */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeKeptFile } from '@kvasir/api/kept-file.ts';
import { hostLayout, type HostLayout, type LabLayout } from './layout.ts';

/** ok; slow: every answer takes seconds; broken: no answer at all; lies: takes orders, says they are done, does nothing. */
export const bmcModes = ['ok', 'slow', 'broken', 'lies'] as const;
export type BmcMode = (typeof bmcModes)[number];

export type Bmc = { readonly host: string; readonly port: number };
export type PowerStatus = {
  readonly [host: string]: { readonly watchdog: 'off' | 'armed'; readonly resets: number };
};

export const bmcUser = 'admin';
/** Of the stand-in; fixed, as some hardware has it. */
export const watchdogTimeoutMs = 4000;
/** Inside a host; the supervisor of the lab holds the other end. */
export const watchdogInside = '/run/kvasir-lab/watchdog';

export function powerFiles(lab: LabLayout) {
  const directory = join(lab.directory, 'power');
  return {
    directory,
    devices: join(directory, 'bmc.json'),
    password: join(directory, 'password'),
    status: join(directory, 'status.json'),
    socket: join(directory, 'switch.sock'),
    control: join(directory, 'control.sh'),
    log: join(lab.directory, 'power.log'),
  } as const;
}

export function watchdogPipe(host: HostLayout): string {
  return join(host.control, 'watchdog');
}

export function readBmcs(lab: LabLayout): readonly Bmc[] {
  const { devices } = powerFiles(lab);
  return existsSync(devices) ? (JSON.parse(readFileSync(devices, 'utf8')) as readonly Bmc[]) : [];
}

export function readPowerStatus(lab: LabLayout): PowerStatus {
  const { status } = powerFiles(lab);
  return existsSync(status) ? (JSON.parse(readFileSync(status, 'utf8')) as PowerStatus) : {};
}

/** Gives each host a port that stays its own, and the lab a password that goes into files only. */
export async function prepareBmcs(lab: LabLayout, hosts: readonly string[]): Promise<void> {
  const files = powerFiles(lab);
  mkdirSync(files.directory, { recursive: true, mode: 0o700 });
  if (!existsSync(files.password)) await writeKeptFile(files.password, randomBytes(8).toString('hex'));
  const known = readBmcs(lab);
  const all: Bmc[] = [...known];
  for (const host of hosts) {
    if (!all.some((bmc) => bmc.host === host)) all.push({ host, port: await freePort() });
  }
  if (all.length === known.length) return;
  await writeKeptFile(files.devices, `${JSON.stringify(all)}\n`);
}

export function bmcMode(lab: LabLayout, host: string): BmcMode {
  try {
    const text = readFileSync(modeFile(lab, host), 'utf8').trim();
    return bmcModes.find((mode) => mode === text) ?? 'ok';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'ok';
    throw error;
  }
}

export function setBmcMode(lab: LabLayout, host: string, mode: BmcMode): void {
  const file = modeFile(lab, host);
  if (mode === 'ok') {
    rmSync(file, { force: true });
    return;
  }
  // Nobody reads half of it.
  writeFileSync(`${file}.new`, mode);
  renameSync(`${file}.new`, file);
}

function modeFile(lab: LabLayout, host: string): string {
  return join(hostLayout(lab, host).control, 'bmc.mode');
}

function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
