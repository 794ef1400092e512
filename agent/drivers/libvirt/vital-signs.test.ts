import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { DomainEvent } from '@kvasir/libvirt/domain-event.ts';
import { lookEveryMs, VitalSigns } from './vital-signs.ts';

const vmId = 'web';
const lifecycle = (event: string, detail: string) =>
  ({ kind: 'lifecycle', uuid: vmId, name: vmId, event, detail }) as DomainEvent;

/** A domain whose disks and agent do what the test says, on a clock that the test moves. */
function bed() {
  let nowMs = 1000;
  const given = { requests: 0n, answers: true, connected: true, cpuMs: 0 };
  const told: string[] = [];
  const timer = mock.method(performance, 'now', () => nowMs);
  const all = async () => {
    if (!given.connected) throw new Error('gone');
    return [
      {
        uuid: vmId,
        name: vmId,
        stats: {
          'block.0.rd.reqs': given.requests,
          'block.0.wr.reqs': 1n,
          'block.0.rd.bytes': 5n,
          'cpu.time': BigInt(given.cpuMs) * 1_000_000n,
        },
      },
    ];
  };
  const client = { statistics: { all } } as unknown as LibvirtClient;
  const signs = new VitalSigns(client, { ping: async () => given.answers }, (id) => told.push(id));
  const pass = async (ms: number) => {
    nowMs += ms;
    await signs.look();
  };
  return { signs, given, told, pass, end: () => timer.mock.restore() };
}

test('a guest is quiet when neither its agent nor its disks do anything, and that is told while it lasts', async () => {
  const { signs, given, told, pass, end } = bed();
  await pass(10_000);
  assert.deepEqual(signs.of(vmId), { watchdogFired: false, quietMs: null });
  signs.answered(vmId);
  given.answers = false;
  for (let n = 0; n < 3; n += 1) {
    given.requests += 1n;
    await pass(20_000);
    assert.equal(signs.of(vmId).quietMs, 0);
  }
  await pass(20_000);
  assert.deepEqual([signs.of(vmId).quietMs, told.length], [0, 0]);
  await pass(20_000);
  assert.deepEqual([signs.of(vmId).quietMs, told.length], [40_000, 1]);
  given.answers = true;
  await pass(10_000);
  assert.deepEqual([signs.of(vmId).quietMs, told.length], [0, 2]);
  end();
});

test('time in which libvirt was away, or the guest was held up, is no silence', async () => {
  const { signs, given, pass, end } = bed();
  signs.answered(vmId);
  given.answers = false;
  await pass(20_000);
  given.connected = false;
  await pass(20_000);
  given.connected = true;
  await pass(20_000);
  assert.equal(signs.of(vmId).quietMs, 0);
  await pass(20_000);
  signs.heard(lifecycle('resumed', 'unpaused'));
  assert.equal(signs.of(vmId).quietMs, 0);
  end();
});

test('the processors that it uses are averaged, and told when they change much', async () => {
  const { signs, given, told, pass, end } = bed();
  await pass(10_000);
  assert.equal(signs.of(vmId).cpusUsed, undefined);
  for (let n = 0; n < 5; n += 1) {
    given.cpuMs += 20_000;
    await pass(10_000);
  }
  assert.deepEqual([signs.of(vmId).cpusUsed, told.length], [2, 1]);
  await pass(10_000);
  assert.deepEqual([signs.of(vmId).cpusUsed, told.length], [1.6, 2]);
  end();
});

test('a watchdog is noted until the next reset, a panic until the next start', () => {
  const { signs, end } = bed();
  signs.heard({ kind: 'watchdog', uuid: vmId, name: vmId, action: 'none' });
  assert.equal(signs.of(vmId).watchdogFired, true);
  signs.heard({ kind: 'reboot', uuid: vmId, name: vmId });
  assert.equal(signs.of(vmId).watchdogFired, false);
  signs.heard(lifecycle('crashed', 'panicked'));
  signs.heard(lifecycle('stopped', 'crashed'));
  assert.equal(signs.panicked(vmId), true);
  signs.heard(lifecycle('started', 'booted'));
  assert.equal(signs.panicked(vmId), false);
  end();
});

test('processors that spin are no sign of life: a guest that only burns them is quiet', async () => {
  const { signs, given, pass, end } = bed();
  await pass(10_000);
  signs.answered(vmId);
  given.answers = false;
  for (let n = 0; n < 4; n += 1) {
    given.cpuMs += 40_000;
    await pass(10_000);
  }
  assert.deepEqual(signs.of(vmId), { watchdogFired: false, quietMs: 40_000, cpusUsed: 4 });
  end();
});

/** Two domains, each of which answers as the test says, also when all are asked in one question. */
function hanging() {
  let nowMs = 1000;
  type Answer = 'answers' | 'hangs' | 'does not tell';
  const given: Record<string, { monitor: Answer; requests: number; agent: () => Promise<boolean> }> = {
    web: { monitor: 'answers', requests: 0, agent: async () => false },
    hung: { monitor: 'answers', requests: 0, agent: async () => false },
  };
  const names = Object.keys(given);
  const timer = mock.method(performance, 'now', () => nowMs);
  const all = async ({ domains = [] }: { domains?: readonly string[] }, { timeoutMs }: { timeoutMs?: number }) => {
    const asked = domains.length === 0 ? names : domains;
    if (asked.some((name) => given[name]!.monitor === 'hangs')) {
      assert.ok(timeoutMs !== undefined && timeoutMs < lookEveryMs);
      throw new Error('no answer in time');
    }
    return asked.map((name) => {
      const counts = given[name]!.monitor === 'answers' ? { 'block.0.rd.reqs': given[name]!.requests } : {};
      return { uuid: name, name, stats: { 'block.count': 1, ...counts } };
    });
  };
  const host = { listDomains: async () => names.map((name) => ({ uuid: name, name, id: 1 })) };
  const client = { statistics: { all }, host } as unknown as LibvirtClient;
  const told: string[] = [];
  const signs = new VitalSigns(client, { ping: (name) => given[name]!.agent() }, (name) => told.push(name));
  for (const name of names) signs.answered(name);
  const pass = async (ms: number) => {
    nowMs += ms;
    await signs.look();
  };
  const quiet = () => names.map((name) => signs.of(name).quietMs);
  return { signs, given, told, pass, quiet, end: () => timer.mock.restore() };
}

test('a domain whose QEMU hangs hides no other guest that hangs, and is itself neither alive nor quiet', async () => {
  const { given, told, pass, quiet, end } = hanging();
  await pass(10_000);
  for (const monitor of ['hangs', 'does not tell'] as const) {
    given.hung!.monitor = 'answers';
    given.web!.requests += 1;
    given.hung!.requests += 1;
    await pass(10_000);
    assert.deepEqual(quiet(), [0, 0]);
    for (let n = 0; n < 4; n += 1) await pass(10_000);
    assert.deepEqual(quiet(), [40_000, 40_000]);
    given.hung!.monitor = monitor;
    told.length = 0;
    for (let n = 0; n < 4; n += 1) await pass(10_000);
    assert.deepEqual(quiet(), [80_000, null]);
    // What was told of it before does not stand.
    assert.deepEqual(told.filter((name) => name === 'hung').length, 1);
    given.hung!.monitor = 'answers';
    for (let n = 0; n < 3; n += 1) await pass(10_000);
    assert.deepEqual(quiet(), [110_000, 30_000]);
  }
  end();
});

test('an agent that cannot be asked is no agent that is silent', async () => {
  const { given, pass, quiet, end } = hanging();
  given.web!.agent = async () => {
    throw new Error('libvirt is busy');
  };
  for (let n = 0; n < 4; n += 1) await pass(10_000);
  assert.deepEqual(quiet(), [null, 40_000]);
  given.web!.agent = async () => true;
  await pass(10_000);
  assert.deepEqual(quiet(), [0, 50_000]);
  end();
});

test('an agent that takes its time holds up no look at another guest', async () => {
  const { signs, given, told, pass, quiet, end } = hanging();
  const answer = Promise.withResolvers<boolean>();
  given.hung!.agent = () => answer.promise;
  for (let n = 0; n < 4; n += 1) {
    void pass(10_000);
    await setImmediate();
  }
  assert.deepEqual(quiet(), [40_000, 0]);
  assert.ok(told.includes('web'));
  answer.resolve(true);
  await setImmediate();
  assert.equal(signs.of('hung').quietMs, 0);
  end();
});

test('time in which nobody looked is no silence', async () => {
  const { pass, quiet, end } = hanging();
  await pass(10_000);
  await pass(3_600_000);
  assert.deepEqual(quiet(), [30_000, 30_000]);
  end();
});
