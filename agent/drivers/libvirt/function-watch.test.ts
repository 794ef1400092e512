/** The events as QEMU and libvirt send them: `libvirt/real-migration.test.ts` has those of a domain without functions. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { LibvirtClient, LibvirtClientEvents } from '@kvasir/libvirt/client.ts';
import type { FunctionEvent } from '../hypervisor.ts';
import { FunctionWatch } from './function-watch.ts';
import { nicAlias } from './nic-alias.ts';

const uuid = '11111111-2222-4333-8444-555555555555';
const of = { kind: 'lifecycle', uuid, name: 'vm' } as const;

class FakeClient extends EventEmitter<LibvirtClientEvents> {
  /** Domain -> whether it is here for good. */
  readonly running = new Map<string, boolean>();
  readonly host = {
    listDomains: () => Promise.resolve([...this.running.keys()].map((each) => ({ uuid: each, name: 'vm', id: 1 }))),
  };
  readonly domain = { isPersistent: (each: string) => Promise.resolve(this.running.get(each) ?? true) };

  migration(...statuses: string[]): void {
    for (const status of statuses) this.emit('monitor', { uuid, event: 'MIGRATION', data: { status } });
  }

  negotiated(device = nicAlias('a')): void {
    this.emit('monitor', { uuid, event: 'FAILOVER_NEGOTIATED', data: { 'device-id': device } });
  }
}

async function world() {
  const client = new FakeClient();
  const watch = new FunctionWatch(client as unknown as LibvirtClient);
  await watch.start();
  const told: FunctionEvent[] = [];
  watch.watch((event) => told.push(event));
  const took = () => told.splice(0).map(({ vmId, nicId, state }) => [vmId === uuid, nicId, state]);
  return { client, watch, took };
}

test('at the source functions rest once the guest has let go of all, and no sooner', async () => {
  const { client, took } = await world();
  client.migration('setup', 'wait-unplug');
  assert.deepEqual(took(), []);
  client.migration('active');
  assert.deepEqual(took(), [[true, null, 'rests']]);
  client.migration('pre-switchover', 'device', 'completed');
  assert.deepEqual(took(), []);
});

test('a migration that fails or is cancelled gives the source its functions back', async () => {
  const { client, took } = await world();
  client.migration('active', 'failed');
  assert.deepEqual(took(), [
    [true, null, 'rests'],
    [true, null, 'carries'],
  ]);
  client.migration('active', 'cancelling');
  assert.deepEqual(took().at(-1), [true, null, 'carries'], 'before the end of the cancelling');
  client.migration('cancelled');
  assert.deepEqual(took(), [[true, null, 'carries']]);
});

test('at the destination a function carries when its NIC turns out to be a pair; the migration itself changes nothing', async () => {
  const { client, took } = await world();
  client.emit('event', { ...of, event: 'started', detail: 'migrated' });
  client.migration('setup', 'active', 'failed');
  assert.deepEqual(took(), []);
  client.negotiated();
  assert.deepEqual(took(), [[true, 'a', 'carries']]);
  client.negotiated('net0');
  assert.deepEqual(took(), []);
});

test('a guest that boots, also one that came here before, wakes nothing, and one that came here may leave', async () => {
  const { client, took } = await world();
  client.negotiated();
  assert.deepEqual(took(), []);
  for (const here of ['defined', 'resumed', 'stopped'] as const) {
    client.emit('event', { ...of, event: 'started', detail: 'migrated' });
    client.emit('event', { ...of, event: here, detail: 'unknown' });
    client.negotiated();
    assert.deepEqual(took(), [], here);
    client.migration('active');
    assert.deepEqual(took(), [[true, null, 'rests']], here);
  }
});

test('an agent that starts, or is connected again, while a domain comes here knows that it does', async () => {
  const { client, watch, took } = await world();
  client.running.set(uuid, false);
  client.emit('connected');
  await new Promise(setImmediate);
  client.migration('active');
  assert.deepEqual(took(), []);
  client.negotiated();
  assert.deepEqual(took(), [[true, 'a', 'carries']]);
  client.running.set(uuid, true);
  client.emit('connected');
  await new Promise(setImmediate);
  client.migration('active');
  assert.deepEqual(took(), [[true, null, 'rests']]);
  watch.stop();
  client.migration('failed');
  assert.deepEqual(took(), []);
});
