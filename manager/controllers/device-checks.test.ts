/** Power devices are read while their hosts are heard, and one that reads off then is mistrusted until it reads on again. */
import assert from 'node:assert/strict';
import { eventsAfter } from '../store/events.ts';
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
});
