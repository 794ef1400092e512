/** Live migration between two real libvirtd, over unix sockets, so that no network is needed. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LibvirtClient } from './client.ts';
import { JobStatsFlags, MigrateFlags, MigrateParam } from './migration-flags.ts';
import { type EchoGuest, echoGuest } from './testing/echo-guest.ts';
import { EventLog } from './testing/event-log.ts';
import { PrivateLibvirtd } from './testing/private-libvirtd.ts';
import { param } from './typed-params.ts';

interface Host {
  readonly daemon: PrivateLibvirtd;
  readonly client: LibvirtClient;
  readonly log: EventLog;
}

const hosts: Host[] = [];
let source: Host;
let destination: Host;
let guest: EchoGuest;

async function startHost(): Promise<Host> {
  const daemon = await PrivateLibvirtd.start();
  const client = new LibvirtClient({ socketPath: daemon.socketPath, monitorEvents: ['MIGRATION'] });
  const host = { daemon, client, log: new EventLog(client) };
  hosts.push(host);
  await client.connect(10_000);
  return host;
}

before(async () => {
  [source, destination] = await Promise.all([startHost(), startHost()]);
  guest = await echoGuest(source.daemon.directory, 'traveller');
  await source.client.domain.createXml(guest.xml);
});

after(async () => {
  for (const { client, daemon } of hosts) {
    await client.close();
    await daemon.remove();
  }
});

const flags = MigrateFlags.VIR_MIGRATE_LIVE | MigrateFlags.VIR_MIGRATE_UNSAFE | MigrateFlags.VIR_MIGRATE_PERSIST_DEST;
const to = ({ daemon }: Host): string => `qemu+unix:///system?socket=${daemon.socketPath}`;
const way = (name: string) => [
  param.string(MigrateParam.VIR_MIGRATE_PARAM_URI, `unix://${join(source.daemon.directory, name)}`),
];

test('a migration to nowhere is refused and the domain goes on running', async () => {
  const destinationUri = 'qemu+unix:///system?socket=/nonexistent/sock';
  const nowhere = source.client.migration.peerToPeer(guest.uuid, { destinationUri, flags });
  await assert.rejects(nowhere, { name: 'LibvirtError' });
  assert.equal((await source.client.domain.state(guest.uuid)).state, 'running');
});

test('a migration is watched, slowed, and cancelled; the domain goes on running here', async () => {
  const { client } = source;
  await client.migration.setMaxDowntime(guest.uuid, 1);
  assert.equal(await client.migration.maxDowntimeMs(guest.uuid), 1);
  await client.migration.setMaxSpeed(guest.uuid, 1);
  const request = { destinationUri: to(destination), params: way('first.sock'), flags };
  const move = assert.rejects(client.migration.peerToPeer(guest.uuid, request), {
    symbol: 'VIR_ERR_OPERATION_ABORTED',
  });
  await source.log.saw({ kind: 'migrationIteration', uuid: guest.uuid, iteration: 1 });
  let job = await client.migration.jobStats(guest.uuid);
  while (job.type === 'unbounded' && !(Number(job.stats.memory_total) > 0)) {
    job = await client.migration.jobStats(guest.uuid);
  }
  assert.equal(job.type, 'unbounded');
  await client.migration.abortJob(guest.uuid);
  await move;
  assert.equal((await client.domain.state(guest.uuid)).state, 'running');
  assert.deepEqual(await destination.client.host.listDomains(), []);
});

test('a running domain moves, and both sides tell', async () => {
  const { client, log } = source;
  const { uuid } = guest;
  await client.migration.setMaxDowntime(uuid, 300);
  await client.migration.setMaxSpeed(uuid, 1000);
  await client.migration.peerToPeer(uuid, {
    destinationUri: to(destination),
    params: way('second.sock'),
    flags: flags | MigrateFlags.VIR_MIGRATE_AUTO_CONVERGE,
  });
  assert.deepEqual((await destination.client.domain.state(uuid)).state, 'running');
  assert.equal(await destination.client.domain.isPersistent(uuid), true);
  await assert.rejects(client.domain.state(uuid), { symbol: 'VIR_ERR_NO_DOMAIN' });
  await log.saw({ kind: 'lifecycle', uuid, event: 'stopped', detail: 'migrated' });
  await destination.log.saw({ kind: 'lifecycle', uuid, event: 'resumed', detail: 'migrated' });
  const completed = JobStatsFlags.VIR_DOMAIN_JOB_STATS_COMPLETED;
  const { type, stats } = await destination.client.migration.jobStats(uuid, completed);
  assert.equal(type, 'completed');
  assert.ok(Number(stats.downtime) >= 0);
});

test('QEMU’s own events come in their places: a destination tells its own between taking the domain in and having it', () => {
  const told = ({ log }: Host): string[] =>
    log.all.flatMap((event) => {
      if (event.uuid !== guest.uuid) return [];
      if (!('kind' in event)) return [`${event.event} ${String(event.data.status)}`];
      return event.kind === 'lifecycle' && event.event !== 'suspended' ? [`${event.event} ${event.detail}`] : [];
    });
  const cancelled = ['MIGRATION setup', 'MIGRATION active', 'MIGRATION cancelling', 'MIGRATION cancelled'];
  const away = ['MIGRATION setup', 'MIGRATION active', 'MIGRATION pre-switchover', 'MIGRATION device'];
  assert.deepEqual(
    told(source).filter((words) => words.startsWith('MIGRATION')),
    [...cancelled, ...away, 'MIGRATION completed'],
  );
  const begun = ['MIGRATION setup', 'started migrated', 'MIGRATION active'];
  const arrived = ['MIGRATION completed', 'defined added', 'resumed migrated'];
  assert.deepEqual(told(destination), [...begun, 'MIGRATION failed', 'stopped failed', ...begun, ...arrived]);
});
