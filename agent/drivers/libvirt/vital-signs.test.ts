import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { DomainEvent } from '@kvasir/libvirt/domain-event.ts';
import { VitalSigns } from './vital-signs.ts';

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
