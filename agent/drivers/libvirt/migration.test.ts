/** What a migration says of itself at its end; that it moves a domain at all is shown on real hosts. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { ParamRecord } from '@kvasir/libvirt/typed-params.ts';
import type { MigrationProgress } from '../hypervisor.ts';
import { sendMigration } from './migration.ts';

const vmId = '0a000000-0000-4000-8000-000000000001';
const request = {
  vmId,
  connectUri: 'qemu+tcp://h2/system',
  migrationHost: '10.0.0.2',
  copyVolumeIds: [],
  autoConverge: false,
  maxDowntimeMs: null,
  bandwidthMibps: null,
};

/**
 * A daemon that sends a domain.
 * @param seen what it says while it sends; undefined: it is done before anybody asks
 * @param end what it says at the end; undefined: its word is lost
 */
async function send(seen: ParamRecord | undefined, end: ParamRecord | undefined) {
  const events = new EventEmitter();
  const steps = new EventEmitter();
  let sending = false;
  const client = Object.assign(events, {
    domain: { lookupByUuid: async () => ({}), xml: async () => '<domain><devices/></domain>' },
    migration: {
      jobStats: async () => (sending ? { type: 'unbounded', stats: seen ?? {} } : { type: 'none', stats: {} }),
      abortJob: async () => {},
      peerToPeer: async () => {
        sending = true;
        if (seen) await once(steps, 'progress');
        sending = false;
        if (end) events.emit('event', { kind: 'jobCompleted', uuid: vmId, stats: end });
        // Another domain's end says nothing of this one.
        events.emit('event', { kind: 'jobCompleted', uuid: 'other', stats: { data_processed: 9999, downtime: 9 } });
      },
    },
  });
  const reports: MigrationProgress[] = [];
  const progress = (report: MigrationProgress): void => {
    reports.push(report);
    steps.emit('progress');
  };
  const call = { signal: new AbortController().signal, progress };
  const sent = await sendMigration(client as unknown as LibvirtClient, request, call);
  assert.equal(events.listenerCount('event'), 0);
  return { sent, reports };
}

const half = { data_total: 1000, data_remaining: 250, data_processed: 700 };

test('the bytes of the end are those that libvirt names there', async () => {
  const { sent, reports } = await send(half, { data_processed: 960, downtime: 12 });
  assert.deepEqual(sent, { downtimeMs: 12, bytesTotal: 960 });
  assert.deepEqual(reports[0], { percent: 75, bytesDone: 700, bytesTotal: 1000, downtimeMs: null });
});

test('a quick one, at whose end libvirt says 0 or nothing, keeps what was seen before', async () => {
  assert.deepEqual((await send(half, { data_processed: 0, downtime: 12 })).sent, { downtimeMs: 12, bytesTotal: 700 });
  assert.deepEqual((await send(half, undefined)).sent, { downtimeMs: null, bytesTotal: 700 });
});

test('where nothing was ever named nothing is claimed', async () => {
  assert.deepEqual((await send(undefined, { data_processed: 0 })).sent, { downtimeMs: null, bytesTotal: null });
});

test('a domain that does not answer is asked one question of each kind, however long it takes', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  const asked = { jobStats: 0, abortJob: 0 };
  const sending = Promise.withResolvers<void>();
  const answers: (() => void)[] = [];
  const hang = (kind: keyof typeof asked) => async (): Promise<{ type: string; stats: ParamRecord }> => {
    asked[kind] += 1;
    // Before it is sent, it is asked whether it is being sent already.
    if (kind === 'jobStats' && asked.jobStats <= 2) return { type: 'none', stats: {} };
    return new Promise((_, reject) => answers.push(() => reject(new Error('too late'))));
  };
  const client = Object.assign(new EventEmitter(), {
    domain: { lookupByUuid: async () => ({}), xml: async () => '<domain><devices/></domain>' },
    migration: { jobStats: hang('jobStats'), abortJob: hang('abortJob'), peerToPeer: () => sending.promise },
  });
  const abort = new AbortController();
  const call = { signal: abort.signal, progress: () => {} };
  const sent = sendMigration(client as unknown as LibvirtClient, request, call);
  await setImmediate();
  abort.abort();
  for (let n = 0; n < 100; n += 1) {
    mock.timers.tick(250);
    await setImmediate();
  }
  assert.deepEqual(asked, { jobStats: 3, abortJob: 1 });
  sending.resolve();
  for (const answer of answers) answer();
  assert.deepEqual(await sent, { downtimeMs: null, bytesTotal: null });
});
