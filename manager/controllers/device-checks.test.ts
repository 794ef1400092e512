/** Power devices are read while their hosts are heard, and one that reads off then is mistrusted until it reads on again. */
import assert from 'node:assert/strict';
import { systemIds } from '../ids.ts';
import { clusters } from '../store/clusters.ts';
import { eventsAfter } from '../store/events.ts';
import { setHostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { HaWorld } from '../testing/ha-world.ts';
import { test } from 'node:test';
import { checkDevices } from './device-checks.ts';
import { currentEpoch } from '../store/leader.ts';

forEachDatabase('a power device', (open) => {
  test('that reads off while its host is heard is mistrusted until it reads on, and one of a lost host is not', async () => {
    const world = await HaWorld.open(await open());
    const { store, clock, tasks } = world;
    const epoch = await currentEpoch(store.db);
    const off = new Set<string>();
    const rounds = checkDevices(
      {
        store,
        clock,
        signals: { lastHeartbeatMs: (id) => (world.lives.get(id)?.heard === true ? clock.now() : 1) },
        power: {
          powerState: async (deviceId) => {
            const { hostId } = await fenceDevices.get(store.db, deviceId);
            // It loses its power right before its device is asked: its last word is a moment old.
            if (off.has(hostId) && hostId === tasks.h2) world.powerLoss(hostId);
            return { state: off.has(hostId) ? 'off' : 'on', deviceId, kind: 'ipmi', confirmedAtMs: clock.now() };
          },
        },
        epoch: () => epoch,
      },
      () => {},
    );
    const of = async (hostId: string) => (await fenceDevices.find(store.db, { hostId }))!;
    await store.transaction((tx) => fenceDevices.set(tx, {}, { checkedAt: null, seenOnAt: null }));
    rounds.start();
    await world.until(
      'both are seen on',
      async () => (await of(tasks.h1)).seenOnAt !== null && (await of(tasks.h2)).seenOnAt !== null,
    );
    off.add(tasks.h1).add(tasks.h2);
    await store.transaction((tx) => fenceDevices.set(tx, {}, { checkedAt: null }));
    await world.until('it is mistrusted', async () => (await of(tasks.h1)).mistrustedBecause !== null);
    await world.until('the other is done with', async () => (await of(tasks.h2)).checkedAt !== null);
    assert.equal((await of(tasks.h2)).mistrustedBecause, null, 'its host lost its power');
    off.clear();
    await world.until('it is believed again', async () => (await of(tasks.h1)).mistrustedBecause === null);
    const kinds = (await eventsAfter(store.db, 0, { limit: 1000 })).map(({ kind }) => kind);
    assert.deepEqual(
      kinds.filter((kind) => kind.startsWith('fence-device.')),
      ['fence-device.mistrusted', 'fence-device.trusted'],
    );
    const stopped = rounds.stop();
    await stopped;
    await world.close();
  });

  test('is read again as soon as a host is lost, of whichever cluster: it may be wired to that one', async () => {
    const world = await HaWorld.open(await open());
    const { store, clock, tasks } = world;
    const epoch = await currentEpoch(store.db);
    const asked: string[] = [];
    const rounds = checkDevices(
      {
        store,
        clock,
        signals: { lastHeartbeatMs: () => clock.now() },
        power: {
          powerState: async (deviceId) => {
            asked.push((await fenceDevices.get(store.db, deviceId)).hostId);
            return { state: 'on', deviceId, kind: 'ipmi', confirmedAtMs: clock.now() };
          },
        },
        epoch: () => epoch,
      },
      () => {},
    );
    await store.transaction((tx) => fenceDevices.set(tx, {}, { checkedAt: clock.now() }));
    rounds.start();
    await world.pass(20_000);
    assert.equal(asked.length, 0);
    const [other, x1] = [systemIds.uuid(), systemIds.uuid()];
    await store.transaction(async (tx) => {
      await clusters.insert(tx, { ...(await clusters.get(tx, tasks.clusterId)), id: other, name: 'other' });
      await hosts.insert(tx, { ...(await hosts.get(tx, tasks.h1)), id: x1, name: 'x1', clusterId: other });
      await setHostHa(tx, x1, { state: 'dead', since: clock.now() });
    });
    await world.until('all are read', () => asked.length >= 3);
    assert.ok(asked.includes(tasks.h1));
    await rounds.stop();
    await world.close();
  });
});
