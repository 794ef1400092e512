/**
 * What one manager does, without its doors: store, leadership, links to hosts, task runner, controllers. `start.ts` puts the
 * API in front of it; a simulation drives it on a virtual clock.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '@kvasir/api/clock.ts';
import { balanceClusters } from './controllers/balance.ts';
import { checkDevices } from './controllers/device-checks.ts';
import { HaController } from './controllers/ha.ts';
import { gateways } from './controllers/gateways.ts';
import { leaveUnlinkedHosts } from './controllers/network-loss.ts';
import { leftovers } from './controllers/leftovers.ts';
import { savePower } from './controllers/power-saving.ts';
import { revival } from './controllers/revival.ts';
import { watchVmFailures } from './controllers/vm-failures.ts';
import { upkeep } from './controllers/upkeep.ts';
import { type Hosts, startHosts } from './hosts/hosts.ts';
import { DevicePower } from './hosts/fencing/device-power.ts';
import { Fencing } from './hosts/fencing/fencing.ts';
import type { ListenAddress } from './hosts/link-server.ts';
import type { Ids } from './ids.ts';
import { Leadership } from './leader.ts';
import { SecretBox } from './secret-box.ts';
import type { Environment } from './services/call.ts';
import { ConsoleTickets } from './services/console-tickets.ts';
import { EventFeed } from './services/event-feed.ts';
import type { FileSpool } from './services/file-spool.ts';
import { LoginLimit } from './services/login-limit.ts';
import type { PowerControl } from './tasks/power-control.ts';
import { ClusterSnapshots } from './store/cluster-snapshots.ts';
import type { Store } from './store/database.ts';
import { CapacityWishes } from './tasks/capacity-wishes.ts';
import { TaskRunner } from './tasks/runner.ts';

export interface CoreOptions {
  /** Migrated and bootstrapped; stays open when the core stops. */
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly version: string;
  readonly spool: FileSpool;
  /** Names this process among all managers, and tells which of them are surely dead. */
  readonly holder: string;
  readonly isDead?: (holder: string) => boolean;
  /** Cuts the power of hosts; left out: the devices that are registered are asked. */
  readonly power?: PowerControl | undefined;
  /** Opens the passwords of power devices; left out: with a key that is thrown away. */
  readonly secrets?: SecretBox | undefined;
  /** Where agents dial in; left out: nowhere, links come by `hosts.accept`. */
  readonly listen?: ListenAddress | undefined;
  readonly advertised?: string | undefined;
  readonly log: (message: string, details?: unknown) => void;
}

export interface Core {
  readonly env: Environment;
  readonly hosts: Hosts;
  readonly ha: HaController;
  readonly leadership: Leadership;
  /** Begins to ask for the lease. */
  start(): void;
  stop(): Promise<void>;
}

export async function openCore(options: CoreOptions): Promise<Core> {
  const { store, clock, ids, version, spool, log } = options;
  const leadership: Leadership = new Leadership({
    store,
    clock,
    holder: options.holder,
    ...(options.isDead ? { isDead: options.isDead } : {}),
    onLead: (epoch) => {
      runner.start(epoch);
      for (const controller of controllers) controller.start();
      hosts.nudge();
    },
    onLose: () => {
      void runner.stop();
      for (const controller of controllers) void controller.stop();
    },
    log,
  });
  const hosts = await startHosts({
    store,
    clock,
    ids,
    managerVersion: version,
    epoch: () => leadership.epoch,
    log,
    ...(options.listen ? { listen: options.listen } : {}),
    ...(options.advertised === undefined ? {} : { advertised: options.advertised }),
  });
  const secrets = options.secrets ?? new SecretBox(randomBytes(32));
  const power = options.power ?? new DevicePower(store, secrets, new Fencing(clock));
  const runner = new TaskRunner({ store, clock, ids, hosts: hosts.calls, spool, power, log });
  const env: Environment = {
    store,
    clock,
    ids,
    links: hosts,
    tickets: new ConsoleTickets(() => clock.now()),
    logins: new LoginLimit(() => clock.now()),
    clusterSnapshots: new ClusterSnapshots(clock),
    signals: {
      lastHeartbeatMs: (hostId) => hosts.lastHeardMs(hostId),
      liveness: (hostId) => hosts.liveness.report(hostId),
      cpusUsed: (hostId, vmId) => hosts.cpusUsed(hostId, vmId),
    },
    feed: new EventFeed(store, clock),
    spool,
    power,
    wishes: new CapacityWishes(),
    secrets,
    version,
  };
  const ha = new HaController({
    ...env,
    signals: {
      lastHeartbeatMs: (hostId) => hosts.lastHeardMs(hostId),
      liveness: (hostId) => hosts.liveness.report(hostId),
      declareDown: (hostId) => hosts.declareDown(hostId),
    },
    power,
    epoch: () => leadership.epoch,
    log,
  });
  const failures = watchVmFailures(
    {
      ...env,
      withoutLife: () => hosts.withoutLife(),
      epoch: () => leadership.epoch,
      nudge: () => ha.nudge(),
    },
    log,
  );
  const balance = balanceClusters({ ...env, epoch: () => leadership.epoch }, log);
  const powerSaving = savePower({ ...env, epoch: () => leadership.epoch }, log);
  const controllers = [
    upkeep(env, log),
    revival(env, log),
    gateways({ ...env, calls: hosts.calls, epoch: () => leadership.epoch }, log),
    leftovers({ ...env, calls: hosts.calls }, log),
    ha,
    failures,
    balance,
    leaveUnlinkedHosts({ ...env, epoch: () => leadership.epoch }, log),
    powerSaving,
    checkDevices({ ...env, epoch: () => leadership.epoch }, log),
  ];
  return {
    env,
    hosts,
    ha,
    leadership,
    start: () => leadership.start(),
    stop: async () => {
      await leadership.stop();
      await runner.stop();
      for (const controller of controllers) await controller.stop();
      await hosts.close();
    },
  };
}
