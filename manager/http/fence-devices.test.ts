/** Power devices through the API: their secrets stay in, and a host with VMs on it is not switched off by a slip. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import type { KvasirError } from '@kvasir/api/errors.ts';
import { fenceDeviceOperations, hostPowerOperations } from '@kvasir/api/resources/fence-device.ts';
import { leaseSettingsOperations } from '@kvasir/api/resources/lease-settings.ts';
import { eventsAfter } from '../store/events.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { openSqlite } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertVm } from './testing/inventory.ts';

let world: ApiWorld;
let opened: Awaited<ReturnType<typeof openSqlite>>;
const admin = () => createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });
const password = 'very-secret-word';
before(async () => {
  opened = await openSqlite();
  world = await openApiWorld(opened.store);
  await world.store.transaction(async (tx) => {
    const clusterId = await defaultClusterId(tx);
    const busy = await insertHost(tx, clusterId, 'busy');
    await insertHost(tx, clusterId, 'idle');
    const project = await insertProject(tx, world, 'p');
    await insertVm(tx, project.id, 'web', clusterId, { hostId: busy.id, state: 'running' });
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
