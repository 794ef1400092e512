/** A server joins, its agent links, the manager asks it: over real sockets with TLS. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { hostInventory } from '@kvasir/api/agent/host.ts';
import { World } from './testing/world.ts';

describe('a server that joins', () => {
  let world: World;
  before(async () => {
    world = await World.open();
  });
  after(() => world.close());

  it('links, is up, and answers host.inventory', async () => {
    const host = await world.addHost();
    assert.equal(await world.hostState(host.hostId), 'up');
    const inventory = await world.hosts.calls.call(host.hostId, hostInventory, {});
    assert.equal(inventory.memoryMib, 16_384);
    assert.equal(inventory.versions['agent'], 'test');
    assert.equal((await world.events('host.up')).length, 1);
  });
});
