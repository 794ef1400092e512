/** Power devices through the API: their secrets stay in, and a host with VMs on it is not switched off by a slip. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import type { KvasirError } from '@kvasir/api/errors.ts';
import { fenceDeviceOperations, hostPowerOperations } from '@kvasir/api/resources/fence-device.ts';
import { leaseSettingsOperations } from '@kvasir/api/resources/lease-settings.ts';
import { eventsAfter } from '../store/events.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import type { HostRow } from '../store/hosts.ts';
import { taskLocks, tasks } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { openSqlite } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertVm } from './testing/inventory.ts';
import { refused } from './testing/refused.ts';

let world: ApiWorld;
let opened: Awaited<ReturnType<typeof openSqlite>>;
let clusterId: string;
let projectId: string;
let busy: HostRow;
const admin = () => createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });
const password = 'very-secret-word';
before(async () => {
  opened = await openSqlite();
  world = await openApiWorld(opened.store);
  await world.store.transaction(async (tx) => {
    clusterId = await defaultClusterId(tx);
    busy = await insertHost(tx, clusterId, 'busy');
    await insertHost(tx, clusterId, 'idle');
    projectId = (await insertProject(tx, world, 'p')).id;
    await insertVm(tx, projectId, 'web', clusterId, { hostId: busy.id, state: 'running' });
  });
  for (const host of ['busy', 'idle']) {
    await admin().call(fenceDeviceOperations.create, {
      body: { name: `${host}-bmc`, host, kind: 'ipmi', address: '192.0.2.7', userName: 'admin', password },
    });
  }
});
after(async () => {
  await world.close();
  await opened.close();
});

it('no answer, event or row holds a password in the clear', async () => {
  const shown = await admin().call(fenceDeviceOperations.get, { params: { fenceDevice: 'busy-bmc' } });
  assert.equal(shown.port, 623);
  assert.ok(!JSON.stringify(shown).includes('assword'));
  const row = await fenceDevices.get(world.store.db, shown.id);
  assert.ok(!JSON.stringify(row).includes(password));
  assert.ok(!JSON.stringify(await eventsAfter(world.store.db, 0, { limit: 1000 })).includes(password));
  assert.equal(world.env.secrets.unseal(row.sealedPassword, row.id), password);
  assert.throws(() => world.env.secrets.unseal(row.sealedPassword, 'another row'));
});

it('a host with VMs is switched off only by force, one without at once', async () => {
  const off = (host: string, force?: boolean) =>
    admin().call(hostPowerOperations.off, { params: { host }, body: force === undefined ? {} : { force } });
  await assert.rejects(off('busy'), (error: KvasirError) => error.code === 'in-use');
  assert.equal((await off('busy', true)).state, 'off');
  assert.equal((await off('idle')).device, 'idle-bmc');
});

it('a host to which VMs are on their way, or that a task needs, is not switched off by a slip either', async () => {
  const { store, env } = world;
  const off = () => admin().call(hostPowerOperations.off, { params: { host: 'target' }, body: {} });
  const begun = async () =>
    (await eventsAfter(store.db, 0, { limit: 1000 })).filter(({ kind }) => kind === 'host.powering-off').length;
  const target = await store.transaction(async (tx) => await insertHost(tx, clusterId, 'target'));
  const device = { name: 'target-bmc', host: 'target', kind: 'ipmi', address: '192.0.2.7', userName: 'a' } as const;
  await admin().call(fenceDeviceOperations.create, { body: { ...device, password } });
  const before = await begun();
  const refusedWith = async (facts: Partial<VmRow>, words: RegExp, kind?: 'vm-start' | 'vm-restart') => {
    const vmId = await store.transaction(async (tx) => {
      const { id } = await insertVm(tx, projectId, 'coming', clusterId, facts);
      const about = { target: { kind: 'vm', id, name: 'coming' }, projectId, userId: null };
      const start = { vmId: id, paused: false };
      const restart = { ...start, fromHostId: busy.id, toHostId: target.id, proofId: null };
      if (kind === 'vm-start') await enqueueTask(tx, env, { kind, params: start, ...about });
      if (kind === 'vm-restart') await enqueueTask(tx, env, { kind, params: restart, ...about });
      return id;
    });
    await assert.rejects(off(), refused('in-use', words));
    await store.transaction(async (tx) => {
      await vms.remove(tx, { id: vmId });
      await taskLocks.remove(tx, { targetId: vmId });
      await tasks.set(tx, { targetId: vmId }, { state: 'failed' });
    });
  };
  await refusedWith({ hostId: busy.id, reservedHostId: target.id }, /by 1 VM\(s\) on their way there/);
  await refusedWith({ hostId: target.id, state: 'creating' }, /by 1 VM\(s\) on their way there/);
  await refusedWith({ hostId: target.id, state: 'stopped' }, /by 1 VM\(s\) that a task works on there/, 'vm-start');
  await refusedWith({ hostId: busy.id, state: 'unknown' }, /by the task vm-restart of coming/, 'vm-restart');
  assert.equal(await begun(), before);
  await store.transaction((tx) => insertVm(tx, projectId, 'rests', clusterId, { hostId: target.id, state: 'stopped' }));
  assert.equal((await off()).state, 'off');
});

it('what is only for Redfish is refused for IPMI, and terms that promise nothing are refused', async () => {
  const certificateFingerprint = 'a'.repeat(64);
  const update = admin().call(fenceDeviceOperations.update, {
    params: { fenceDevice: 'busy-bmc' },
    body: { certificateFingerprint },
  });
  await assert.rejects(update, (error: KvasirError) => error.code === 'invalid-request');
  const terms = (body: { killAfterMs?: number; leaseMs?: number }) =>
    admin().call(leaseSettingsOperations.update, { params: { cluster: 'default' }, body });
  await assert.rejects(terms({ leaseMs: 7000 }), (error: KvasirError) => error.code === 'invalid-request');
  await assert.rejects(terms({ killAfterMs: 2000 }), (error: KvasirError) => error.code === 'invalid-request');
  assert.equal((await terms({ leaseMs: 12_000 })).leaseMs, 12_000);
});
