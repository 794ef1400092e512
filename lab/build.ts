/**
 * Makes a lab, or completes it: fabric, then forwarder, then power, then hosts. The record of what was asked for is written
 * before the first of it is made, so that whatever stops this, the next run and the removal know of it.
 */
import { mkdirSync } from 'node:fs';
import { prepareBmcs } from './bmc.ts';
import { buildFabric } from './fabric.ts';
import { prepareHostDisk } from './host-files.ts';
import { LabHost } from './host.ts';
import { hostLayout, hostNumber } from './layout.ts';
import type { LabLayout } from './layout.ts';
import { startForwarder, startPowerSwitch } from './manager-process.ts';
import { readLabState, writeLabState } from './state.ts';
import type { HostState, LabState } from './state.ts';

export type LabOptions = {
  readonly name: string;
  /** How many hosts, 1 to 32; hosts that exist already stay. */
  readonly hosts: number;
  /** NICs of each host beside those on the three networks, plugged into nothing; kept from the last time when absent. */
  readonly spareNics?: number;
  /** Words of the agent's command line, see command-line.ts; kept from the last time when absent. */
  readonly agentCommand?: readonly string[];
  readonly managerCommand?: readonly string[];
  /** Is told what begins, for a progress display. */
  readonly progress?: (step: string) => void;
};

export async function buildLab(layout: LabLayout, options: LabOptions): Promise<void> {
  const progress = options.progress ?? (() => undefined);
  // Disks of guests, keys and passwords are in it.
  mkdirSync(layout.directory, { recursive: true, mode: 0o700 });
  mkdirSync(layout.sharedStorage, { recursive: true });
  mkdirSync(layout.managerDirectory, { recursive: true, mode: 0o700 });
  const before = readLabState(layout);
  const wanted = Array.from({ length: options.hosts }, (_, index) => `h${index + 1}`);
  const known = before?.hosts ?? [];
  const added: HostState[] = wanted
    .filter((name) => !known.some((host) => host.name === name))
    .map((name) => ({ name, power: 'on', cuts: [] }));
  let state: LabState = {
    version: 1,
    name: layout.name,
    ...before,
    hosts: [...known, ...added].sort((a, b) => hostNumber(a.name) - hostNumber(b.name)),
    spareNics: options.spareNics ?? before?.spareNics,
    agentCommand: options.agentCommand ?? before?.agentCommand,
    managerCommand: options.managerCommand ?? before?.managerCommand,
  };
  writeLabState(layout, state);
  progress('fabric');
  await buildFabric(layout);
  state = { ...state, forwarder: await startForwarder(layout, state.forwarder) };
  writeLabState(layout, state);
  progress('power');
  for (const host of state.hosts) prepareHostDisk(hostLayout(layout, host.name));
  await prepareBmcs(
    layout,
    state.hosts.map((host) => host.name),
  );
  state = { ...state, powerSwitch: await startPowerSwitch(layout, state.powerSwitch) };
  writeLabState(layout, state);
  for (const host of state.hosts) new LabHost(layout, host.name).setAgentCommand(state.agentCommand);
  progress(`hosts ${state.hosts.map((host) => host.name).join(', ')}`);
  const boots = state.hosts
    .filter((host) => host.power === 'on')
    .map((host) => new LabHost(layout, host.name).powerOn({ cuts: host.cuts, spareNics: state.spareNics ?? 0 }));
  await Promise.allSettled(boots);
  await Promise.all(boots);
}
