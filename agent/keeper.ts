/**
 * The keeper's program: one on each host, started by the agent and outliving it. Owns the lease's pieces and their order;
 * what is decided is decided in lease/keeper.ts. Never touches a shared storage itself.
 * Usage: keeper.ts --file FILE --run DIRECTORY
 */
import './file-threads.ts';
import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority, uptime } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import { ChildPoolIo } from './lease/child-pool-io.ts';
import { KeyedLock } from './keyed-lock.ts';
import { DeviceWatchdog } from './lease/device-watchdog.ts';
import { readKeeperFile } from './lease/keeper-file.ts';
import { KeeperLog, keeperLogFile } from './lease/keeper-log.ts';
import { KeeperServer, writeMessage } from './lease/keeper-socket.ts';
import { LeaseKeeper } from './lease/keeper.ts';
import type { KeeperTime } from './lease/parts.ts';
import { Probes } from './lease/probes.ts';
import { endingBoth, HungStarts } from './lease/hung-starts.ts';
import { PendingStarts } from './lease/pending-starts.ts';
import { FileRenewals, keeperSocket, startsDirectory } from './lease/run-files.ts';
import { readUplinks } from './lease/uplinks.ts';
import { VmProcesses } from './lease/vm-processes.ts';
import { holdName } from './only-one.ts';

const tellEveryMs = 500;

/** The kernel's clock since boot: it never jumps, and it counts sleep, in which others go on. */
const bootTime: KeeperTime = {
  nowMs: () => uptime() * 1000,
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** More of the processor, and the last to be killed when memory runs out; both only where they are allowed. */
function claimPriority(): void {
  try {
    setPriority(-15);
    writeFileSync('/proc/self/oom_score_adj', '-1000');
  } catch {
    // It works without, only less surely on a host that has too much to do.
  }
}

async function main(path: string, runDirectory: string, log: (message: string) => void): Promise<void> {
  claimPriority();
  let file = await readKeeperFile(path);
  if (file === undefined) throw new Error(`there is no ${path}`);
  const { hostId, address, specsDirectory, watchdogDevice, watchdogTimeoutMs } = file;
  await holdName(`kvasir-keeper-${hostId}`, 'a keeper of this host runs already');
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const ended = new Set<string>();
  const keeper = new LeaseKeeper({
    hostId,
    bootId,
    time: bootTime,
    openPool: (place) => new ChildPoolIo(place),
    ender: endingBoth(
      new VmProcesses(specsDirectory),
      new HungStarts(new PendingStarts(startsDirectory(runDirectory, hostId))),
    ),
    watchdog:
      watchdogDevice === null
        ? null
        : new DeviceWatchdog({ device: watchdogDevice, fixedTimeoutMs: watchdogTimeoutMs, log }),
    renewals: new FileRenewals(runDirectory, hostId, bootId, log),
    log,
    onEvent: (event) => {
      if (event.kind === 'storage-lost') for (const vmId of event.vmIds) ended.add(vmId);
      server.tell(status());
      server.tell({ kind: 'event', event });
    },
  });
  const probes = new Probes({ hostId, address, time: bootTime, log });
  let uplinks: Liveness['uplinks'] = [];
  const liveness = (): Liveness => ({ ...keeper.report(), peers: probes.report(), uplinks });

  const apply = (): void => {
    const plan = file?.plan ?? null;
    if (plan === null) return;
    keeper.apply(plan, file?.places ?? []);
    probes.apply(plan);
    log(`keeps ${plan.pools.length} leases, ${plan.peers.length} peers (generation ${plan.generation})`);
  };
  // One after the other: of two reads at once the older could end last, and would stand.
  const reading = new KeyedLock();
  const reload = (): Promise<string | null> =>
    reading.run('file', async () => {
      try {
        file = await readKeeperFile(path);
        apply();
        return null;
      } catch (error) {
        return String(error);
      }
    });
  const stop = async (): Promise<void> => {
    log('is asked to stop: takes its promises back first');
    await keeper.stop();
    probes.close();
    server.close();
    process.exit(0);
  };
  const status = () => ({ kind: 'status', generation: keeper.plan?.generation ?? null, liveness: liveness() }) as const;
  const server = new KeeperServer(
    keeperSocket(runDirectory, hostId),
    (socket) => {
      writeMessage(socket, { kind: 'ended', vmIds: [...ended] });
      writeMessage(socket, status());
    },
    (message, from) => {
      if (message.kind === 'stop') void stop();
      else if (message.kind === 'forget') ended.delete(message.vmId);
      else if (message.kind === 'reload')
        void reload().then((error) => writeMessage(from, { kind: 'reloaded', error }));
    },
  );
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop());
  process.on('SIGHUP', () => {});
  apply();
  setInterval(() => {
    void readUplinks(file?.uplinks ?? []).then((read) => (uplinks = read));
    server.tell(status());
  }, tellEveryMs);
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { file: { type: 'string' }, run: { type: 'string' } } });
  if (values.file === undefined || values.run === undefined) {
    process.stderr.write('usage: keeper.ts --file FILE --run DIRECTORY\n');
    process.exitCode = 2;
  } else {
    const keeperLog = new KeeperLog(keeperLogFile(dirname(values.file)));
    const log = (message: string): void => keeperLog.say(message);
    try {
      await main(values.file, values.run, log);
    } catch (error) {
      log(error instanceof Error ? error.message : String(error));
      process.exit(1);
    }
  }
}
