/** What is reported of domains that are strange. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mock, test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { LibvirtGuest } from './guest.ts';
import { Reports } from './reports.ts';

const vmId = '00000000-0000-4000-8000-000000000001';

/** A client with these running domains, and reports that have started, on a clock that the test moves. */
function started(t: TestContext, names: readonly string[], info: (vmId: string) => Promise<never>) {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const given = { fails: false, connected: true };
  const domain = {
    state: async () => ({ state: 'running', reason: 'booted' }),
    xml: async () => {
      if (given.fails) throw new Error('no place for the call');
      return '<domain><vcpu>1</vcpu></domain>';
    },
    isPersistent: async () => true,
  };
  const host = { listDomains: async () => names.map((name) => ({ uuid: name, name, id: 1 })) };
  const statistics = { all: async () => [] };
  const parts = { domain, host, statistics };
  const client = Object.defineProperty(Object.assign(new EventEmitter(), parts), 'connected', {
    get: () => given.connected,
  });
  const reports = new Reports(client as unknown as LibvirtClient, { info } as unknown as LibvirtGuest, '/nowhere');
  const told: (string | null)[] = [];
  reports.watch(({ because }) => told.push(because));
  reports.start();
  t.after(() => {
    reports.stop();
    mock.timers.reset();
  });
  const pass = async (ms: number): Promise<void> => {
    mock.timers.tick(ms);
    for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  };
  /** A report looks at a file, which takes its time. */
  const toldOf = async (count: number): Promise<readonly (string | null)[]> => {
    while (told.length < count && !t.signal.aborted) await setImmediate();
    return told;
  };
  return { client, given, told, toldOf, pass };
}

const silent = async (): Promise<never> => {
  throw new Error('no agent');
};

test('a change whose report could not be made is reported as soon as it can be', { timeout: 10_000 }, async (t) => {
  const { client, given, told, toldOf, pass } = started(t, ['web'], silent);
  given.fails = true;
  client.emit('event', { kind: 'lifecycle', uuid: 'web', name: 'web', event: 'started', detail: 'booted' });
  await pass(0);
  await pass(4000);
  assert.deepEqual(told, []);
  given.fails = false;
  await pass(2000);
  assert.deepEqual(await toldOf(1), ['started (booted)']);
  await pass(60_000);
  assert.equal(told.length, 1);
});

test('a change that nobody could report for want of a connection is left to the next one', {
  timeout: 10_000,
}, async (t) => {
  const { client, given, told, toldOf, pass } = started(t, ['web'], silent);
  Object.assign(given, { fails: true, connected: false });
  client.emit('event', { kind: 'lifecycle', uuid: 'web', name: 'web', event: 'started', detail: 'booted' });
  await pass(0);
  Object.assign(given, { fails: false, connected: true });
  await pass(60_000);
  assert.deepEqual(told, []);
  client.emit('connected');
  assert.deepEqual(await toldOf(1), ['libvirt is connected again']);
});

test('a guest that does not answer is asked no second time meanwhile, and others are', async (t) => {
  const asked: string[] = [];
  const info = (vmId: string): Promise<never> => {
    asked.push(vmId);
    return vmId === 'hung' ? new Promise<never>(() => {}) : silent();
  };
  const { pass } = started(t, ['hung', 'web'], info);
  await pass(0);
  for (let n = 0; n < 3; n += 1) await pass(30_000);
  assert.deepEqual(asked, ['hung', 'web', 'web', 'web', 'web']);
});

/** Of one running domain. */
async function reported(metadata: string) {
  const name = 'web-00000000';
  const xml = `<domain><name>${name}</name><uuid>${vmId}</uuid><vcpu>1</vcpu>${metadata}</domain>`;
  const domain = {
    state: async () => ({ state: 'running', reason: 'booted' }),
    xml: async () => xml,
    isPersistent: async () => true,
  };
  const host = { listDomains: async () => [{ uuid: vmId, name, id: 1 }] };
  const client = Object.assign(new EventEmitter(), { domain, host }) as unknown as LibvirtClient;
  const [report] = await new Reports(client, {} as LibvirtGuest, '/nowhere').list();
  return report;
}

test('a VM whose mark cannot be read, as of another release, is ours all the same: it runs, and must not run twice', async () => {
  const mark = (spec: string) =>
    `<metadata><kvasir:vm xmlns:kvasir="urn:kvasir:domain:1">${spec}</kvasir:vm></metadata>`;
  for (const spec of ['{"vmId":"x","fromTheFuture":true}', 'no JSON']) {
    const report = await reported(mark(spec));
    assert.deepEqual([report?.vmId, report?.managed, report?.state], [vmId, true, 'running']);
    assert.match(report?.drift.join() ?? '', /cannot be read/);
  }
});

test('a domain without our mark is somebody else’s', async () => {
  assert.equal((await reported(''))?.managed, false);
  assert.equal((await reported('<metadata><other:vm>{}</other:vm></metadata>'))?.managed, false);
});
