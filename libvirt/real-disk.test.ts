/** Disks of a running domain, on a real libvirtd and QEMU: size, limits, external snapshot, block jobs. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BlockCommitFlags, BlockJobAbortFlags, SnapshotCreateFlags, SnapshotDeleteFlags } from './block-flags.ts';
import { LibvirtClient } from './client.ts';
import { AffectFlags, CreateFlags } from './domain-flags.ts';
import { type EchoGuest, echoGuest } from './testing/echo-guest.ts';
import { EventLog } from './testing/event-log.ts';
import { PrivateLibvirtd } from './testing/private-libvirtd.ts';

let daemon: PrivateLibvirtd;
let client: LibvirtClient;
let log: EventLog;
let guest: EchoGuest;
const mib = 1024 * 1024;

before(async () => {
  daemon = await PrivateLibvirtd.start();
  client = new LibvirtClient({ socketPath: daemon.socketPath });
  log = new EventLog(client);
  await client.connect(10_000);
  guest = await echoGuest(daemon.directory, 'disks');
  await client.domain.define(guest.xml);
  await client.domain.create(guest.uuid, CreateFlags.VIR_DOMAIN_START_PAUSED);
});

after(async () => {
  await client?.close();
  await daemon?.remove();
});

test('a disk grows while the domain runs', async () => {
  const { uuid } = guest;
  assert.equal((await client.block.info(uuid, 'hda')).capacityBytes, mib);
  await client.block.resize(uuid, 'hda', 2 * mib);
  assert.equal((await client.block.info(uuid, 'hda')).capacityBytes, 2 * mib);
  await assert.rejects(client.block.info(uuid, 'vdz'), { symbol: 'VIR_ERR_INVALID_ARG' });
});

test('a disk is limited', async () => {
  const { uuid } = guest;
  await client.block.setIoTune(uuid, 'hda', { total_iops_sec: 100 }, AffectFlags.VIR_DOMAIN_AFFECT_LIVE);
  assert.match(await client.domain.xml(uuid), /<total_iops_sec>100</);
  const mixed = { total_iops_sec: 1, read_iops_sec: 1 };
  const refused = client.block.setIoTune(uuid, 'hda', mixed, AffectFlags.VIR_DOMAIN_AFFECT_LIVE);
  await assert.rejects(refused, { symbol: 'VIR_ERR_INVALID_ARG' });
});

test('an external snapshot is taken and committed back', async () => {
  const { uuid } = guest;
  const overlay = join(daemon.directory, 'overlay.qcow2');
  const disks = `<disks><disk name='hda'><source file='${overlay}'/></disk></disks>`;
  const xml = `<domainsnapshot><name>before</name>${disks}</domainsnapshot>`;
  const { VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY, VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC } = SnapshotCreateFlags;
  const flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
  assert.equal(await client.block.createSnapshot(uuid, xml, flags), 'before');
  assert.deepEqual(await client.block.snapshots(uuid), ['before']);
  const metadataOnly = SnapshotDeleteFlags.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY;
  await client.block.deleteSnapshot(uuid, 'before', metadataOnly);
  assert.deepEqual(await client.block.snapshots(uuid), []);
  assert.match(await client.domain.xml(uuid), /overlay\.qcow2/);

  assert.equal(await client.block.jobInfo(uuid, 'hda'), null);
  const { VIR_DOMAIN_BLOCK_COMMIT_ACTIVE, VIR_DOMAIN_BLOCK_COMMIT_SHALLOW } = BlockCommitFlags;
  const shallow = VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_SHALLOW;
  await client.block.commit(uuid, { disk: 'hda', flags: shallow });
  await log.saw({ kind: 'blockJob', uuid, disk: 'hda', type: 'active-commit', status: 'ready' });
  const job = await client.block.jobInfo(uuid, 'hda');
  assert.equal(job?.type, 'active-commit');
  assert.equal(job?.current, job?.end);
  await client.block.setJobSpeed(uuid, 'hda', 100);
  await client.block.endJob(uuid, 'hda', BlockJobAbortFlags.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT);
  await log.saw({ kind: 'blockJob', uuid, disk: 'hda', type: 'active-commit', status: 'completed' });
  assert.doesNotMatch(await client.domain.xml(uuid), /overlay\.qcow2/);
});

test('a disk is copied and the copy given up; a backing image is pulled in', async () => {
  const { uuid } = guest;
  await client.domain.destroy(uuid);
  await client.domain.undefine(uuid);
  // A copy is only allowed for a domain without a definition.
  await client.domain.createXml(guest.xml, CreateFlags.VIR_DOMAIN_START_PAUSED);
  const copy = join(daemon.directory, 'copy.raw');
  await client.block.copy(uuid, 'hda', `<disk type='file'><driver type='raw'/><source file='${copy}'/></disk>`);
  await log.saw({ kind: 'blockJob', uuid, type: 'copy', status: 'ready' });
  await client.block.endJob(uuid, 'hda');
  await log.saw({ kind: 'blockJob', uuid, type: 'copy', status: 'canceled' });
  const disks = `<disks><disk name='hda'><source file='${join(daemon.directory, 'top.qcow2')}'/></disk></disks>`;
  const { VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY, VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA } = SnapshotCreateFlags;
  const flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA;
  await client.block.createSnapshot(uuid, `<domainsnapshot>${disks}</domainsnapshot>`, flags);
  await client.block.pull(uuid, 'hda');
  await log.saw({ kind: 'blockJob', uuid, type: 'pull', status: 'completed' });
  assert.doesNotMatch(await client.domain.xml(uuid), /<backingStore type=/);
});
