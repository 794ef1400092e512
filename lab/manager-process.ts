/**
 * The manager, its forwarder and the power switch as processes of the machine: started detached with a log file each, found
 * again by pid and start time, and by the lab's mark in their environment should the record be lost. Nobody restarts the manager:
 * its death is what tests and evaluators want to see.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { powerFiles } from './bmc.ts';
import { expand, managerWords } from './command-line.ts';
import { checkoutDirectory, compiledCode, managerEndpoint, nodeBinary } from './layout.ts';
import type { LabLayout } from './layout.ts';
import {
  endAll,
  identify,
  isRunning,
  processesInNetworkNamespace,
  processesWithEnvironment,
  until,
} from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import { acceptsConnections } from './unix-socket.ts';

const managerMark = 'KVASIR_LAB_MANAGER';
const powerMark = 'KVASIR_LAB_POWER';
const forwarderMark = 'KVASIR_LAB_FORWARDER';

/** Processes that carry the lab's mark as its manager, whatever the state file says. */
export function managerProcesses(lab: LabLayout): ProcessIdentity[] {
  return processesWithEnvironment(managerMark, lab.directory);
}

async function startDetached(
  argv: readonly string[],
  logFile: string,
  env: NodeJS.ProcessEnv,
): Promise<ProcessIdentity> {
  const [file, ...args] = argv;
  if (file === undefined) throw new TypeError('an empty command line');
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(file, args, { cwd: checkoutDirectory, detached: true, stdio: ['ignore', log, log], env });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity === undefined) throw new Error(`${file} ended at once; see ${logFile}`);
  return identity;
}

export function startManager(lab: LabLayout, command: readonly string[]): Promise<ProcessIdentity> {
  mkdirSync(lab.managerDirectory, { recursive: true, mode: 0o700 });
  return startDetached(expand(command, managerWords(lab)), lab.managerLog, {
    ...process.env,
    [managerMark]: lab.directory,
  });
}

/** The program that runs the lab's BMCs and watchdogs, and the BMCs. */
export function powerProcesses(lab: LabLayout): ProcessIdentity[] {
  return processesWithEnvironment(powerMark, lab.directory);
}

/** Starts it unless `known` runs; resolves when it listens. */
export async function startPowerSwitch(lab: LabLayout, known: ProcessIdentity | undefined): Promise<ProcessIdentity> {
  if (isRunning(known)) return known;
  await endAll(() => powerProcesses(lab), 0);
  const { control, log, socket } = powerFiles(lab);
  // ipmi_sim runs it with the question behind the words of its own configuration.
  const script = `#!/bin/sh\nsocket=$1\nshift\nprintf '%s\\n' "$*" | exec socat -t 20 - "UNIX-CONNECT:$socket"\n`;
  writeFileSync(control, script, { mode: 0o700 });
  const program = await startDetached([nodeBinary, `${checkoutDirectory}/lab/power-switch.ts`, lab.name], log, {
    PATH: process.env['PATH'],
    ...compiledCode(),
    [powerMark]: lab.directory,
  });
  await until(`start of the lab's power switch (${log})`, 20_000, () => {
    if (!isRunning(program)) throw new Error(`the lab's power switch ended; see ${log}`);
    return acceptsConnections(socket);
  });
  return program;
}

export function forwarderProcesses(lab: LabLayout): ProcessIdentity[] {
  return processesWithEnvironment(forwarderMark, lab.directory);
}

/** Starts the forwarder in the fabric unless `known` runs; resolves when it accepts connections. */
export async function startForwarder(lab: LabLayout, known: ProcessIdentity | undefined): Promise<ProcessIdentity> {
  const isInFabric = ({ pid }: ProcessIdentity): boolean =>
    processesInNetworkNamespace(lab.fabricNamespace).some((each) => each.pid === pid);
  if (isRunning(known) && isInFabric(known)) return known;
  // One that was started right before its starter was killed stands in no record, and has the port.
  await endAll(() => forwarderProcesses(lab), 0);
  const { address, port } = managerEndpoint;
  const forwarder = await startDetached(
    [
      'nsenter',
      `--net=/run/netns/${lab.fabricNamespace}`,
      nodeBinary,
      `${checkoutDirectory}/lab/forwarder.ts`,
      address,
      String(port),
      lab.managerAgentSocket,
    ],
    lab.forwarderLog,
    { PATH: process.env['PATH'], [forwarderMark]: lab.directory },
  );
  await until(`start of the lab's forwarder (${lab.forwarderLog})`, 20_000, () => {
    if (!isRunning(forwarder)) throw new Error(`the lab's forwarder ended; see ${lab.forwarderLog}`);
    // Before it is there, others of the machine may listen on that port.
    return isInFabric(forwarder) && listensIn(forwarder.pid, port);
  });
  return forwarder;
}

/** Whether some socket listens on the port in the network namespace of a process. */
function listensIn(pid: number, port: number): boolean {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const table = readFileSync(`/proc/${pid}/net/tcp`, 'utf8');
  return table.split('\n').some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return local?.endsWith(`:${hexPort}`) === true && state === '0A';
  });
}
