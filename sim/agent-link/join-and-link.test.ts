/** A server joins, its agent links, the manager asks it: over real sockets with TLS. */
import assert from 'node:assert/strict';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { hostInventory } from '@kvasir/api/agent/host.ts';
import { formatJoinToken, parseJoinToken } from '@kvasir/api/agent/join-token.ts';
import { saveIdentity } from '@kvasir/agent/identity.ts';
import { joinManager } from '@kvasir/agent/join.ts';
import { dialManager } from '@kvasir/agent/link/dial.ts';
import { hosts as hostRows } from '@kvasir/manager/store/hosts.ts';
import { until, World } from './testing/world.ts';

const never = new AbortController().signal;

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

  it('keeps its key to itself, and joins once for each data directory', async () => {
    const directory = join(world.folder, 'once');
    const input = { directory, token: await world.token(), manager: undefined, name: 'once', address: '127.0.0.1' };
    const first = await joinManager(input);
    for (const name of await readdir(directory)) assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600);
    const second = await joinManager({ ...input, token: 'not even a token' });
    assert.deepEqual([first.joined, second.joined, second.identity], [true, false, first.identity]);
  });

  it('is refused with a token that was used', async () => {
    const token = await world.token();
    await world.join('used-1', token);
    await assert.rejects(world.join('used-2', token), /join token is unknown, was used before/);
  });

  it('is refused with a token whose time is over', async () => {
    await assert.rejects(world.join('late', await world.token(0)), /its time is over/);
  });

  it('is refused with a token that nobody made, and with a text that is none', async () => {
    const content = parseJoinToken(await world.token())!;
    await assert.rejects(world.join('forged', formatJoinToken({ ...content, secret: 'x'.repeat(43) })), /unknown/);
    await assert.rejects(world.join('forged', 'hello'), /not a join token/);
  });

  it('says nothing to a manager whose CA is not the one of its token', async () => {
    const other = await World.open();
    try {
      const content = parseJoinToken(await world.token())!;
      const token = formatJoinToken({ ...content, manager: other.address });
      await assert.rejects(world.join('lured', token), /does not show the CA/);
    } finally {
      await other.close();
    }
  });

  it('may try again with its token when its name was taken', async () => {
    await world.join('taken');
    const token = await world.token();
    await assert.rejects(world.join('taken', token), /already exists/);
    await world.join('free', token);
  });
});

describe('the manager', () => {
  let world: World;
  before(async () => {
    world = await World.open();
  });
  after(() => world.close());

  it("refuses a link without a certificate, with one of another CA, and with one that is not the row's", async () => {
    const identity = await world.join('certified');
    const other = await World.open();
    try {
      const stranger = await other.join('certified');
      const record = identity.record;
      await assert.rejects(
        dialManager({ ...stranger, record, caPem: identity.caPem }, never),
        /status 403|alert|hung up/,
      );
    } finally {
      await other.close();
    }
    await world.store.transaction(async (tx) => {
      await hostRows.set(tx, { id: identity.record.hostId }, { certificateFingerprint: 'ab'.repeat(32) });
    });
    await assert.rejects(dialManager(identity, never), /status 403/);
  });

  it('is refused by an agent that knows another CA', async () => {
    const identity = await world.join('careful');
    const other = await World.open();
    try {
      const { caPem } = await other.join('careful');
      await assert.rejects(dialManager({ ...identity, caPem }, never), /signature failure/);
    } finally {
      await other.close();
    }
  });

  it('closes the link of a host that is forgotten, and takes none any more', async () => {
    const host = await world.addHost();
    await world.hosts.forgetHost(host.hostId);
    await until('end of the link', () => !host.agent.isConnected);
    assert.equal(world.hosts.isConnected(host.hostId), false);
    await assert.rejects(dialManager(host.identity, never), /status 403/);
    await host.agent.close();
  });

  it("refuses joins that are not JSON, too long, or not the contract's", async () => {
    await assert.rejects(world.hosts.join({ token: 1 }), { code: 'invalid-request' });
    const token = await world.token();
    const body = { token, name: 'bad-csr', address: 'x', csrPem: 'nonsense' };
    await assert.rejects(world.hosts.join(body), {
      code: 'invalid-request',
      message: /certificate request is malformed/,
    });
  });
});

describe('an identity', () => {
  it('that is not whole does not count', async () => {
    const world = await World.open();
    try {
      const identity = await world.join('whole');
      const directory = join(world.folder, 'half');
      await mkdir(directory);
      await saveIdentity(directory, { ...identity, record: { ...identity.record, hostId: 'nonsense' } });
      const input = { directory, token: await world.token(), manager: undefined, name: 'x', address: 'x' };
      await assert.rejects(joinManager(input), /not what this agent wrote/);
    } finally {
      await world.close();
    }
  });
});
