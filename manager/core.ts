/**
 * What one manager does, without its doors: store, leadership, links to hosts, task runner, controllers. `start.ts` puts the
 * API in front of it; a simulation drives it on a virtual clock.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { revival } from './controllers/revival.ts';
import { upkeep } from './controllers/upkeep.ts';
import { type Hosts, startHosts } from './hosts/hosts.ts';
import type { ListenAddress } from './hosts/link-server.ts';
import type { Ids } from './ids.ts';
import { Leadership } from './leader.ts';
import type { Environment } from './services/call.ts';
import { ConsoleTickets } from './services/console-tickets.ts';
import { EventFeed } from './services/event-feed.ts';
import type { FileSpool } from './services/file-spool.ts';
import { LoginLimit } from './services/login-limit.ts';
import { ClusterSnapshots } from './store/cluster-snapshots.ts';
import type { Store } from './store/database.ts';
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
  /** Where agents dial in; left out: nowhere, links come by `hosts.accept`. */
  readonly listen?: ListenAddress | undefined;
  readonly advertised?: string | undefined;
  readonly log: (message: string, details?: unknown) => void;
}

export interface Core {
  readonly env: Environment;
  readonly hosts: Hosts;
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
  const runner = new TaskRunner({ store, clock, ids, hosts: hosts.calls, spool, log });
  const env: Environment = {
    store,
    clock,
    ids,
    links: hosts,
    tickets: new ConsoleTickets(() => clock.now()),
    logins: new LoginLimit(() => clock.now()),
    clusterSnapshots: new ClusterSnapshots(clock),
    feed: new EventFeed(store, clock),
    spool,
    version,
  };
  const controllers = [upkeep(env, log), revival(env, log)];
  return {
    env,
    hosts,
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
