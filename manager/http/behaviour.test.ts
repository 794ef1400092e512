/** What clients rely on beyond single answers: idempotency, revisions, pages, event streams, capacity under many creates at once. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { auditOperations } from '@kvasir/api/resources/event.ts';
import { projectOperations } from '@kvasir/api/resources/project.ts';
import { sessionOperations } from '@kvasir/api/resources/session.ts';
import { userOperations } from '@kvasir/api/resources/user.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { sql } from 'kysely';
import { clusters } from '../store/clusters.ts';
import { appendEvent } from '../store/events.ts';
import { projects } from '../store/projects.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertImage, insertNetwork, insertPool } from './testing/inventory.ts';

function isRefusal(code: string): (error: unknown) => boolean {
  return (error) => error instanceof KvasirError && error.code === code;
}

forEachDatabase('API', (open) => {
  let world: ApiWorld;
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });
  before(async () => {
    world = await openApiWorld(await open());
  });
  after(() => world.close());

  it('logs in, counts failures, and forgets the login at its end', async () => {
    const password = 'correct horse';
    await as('system-admin').call(userOperations.create, { body: { name: 'ann', password } });
    const nobody = createClient({ baseUrl: world.baseUrl });
    const session = await nobody.call(sessionOperations.create, { body: { userName: 'ann', password } });
    const ann = createClient({ baseUrl: world.baseUrl, token: session.token });
    assert.equal((await ann.call(sessionOperations.current)).user.name, 'ann');
    await ann.call(sessionOperations.delete);
    await assert.rejects(ann.call(sessionOperations.current), isRefusal('unauthenticated'));
    const wrong = () => nobody.call(sessionOperations.create, { body: { userName: 'ann', password: 'wrong' } });
    for (let i = 0; i < 10; i += 1) await assert.rejects(wrong(), isRefusal('wrong-credentials'));
    await assert.rejects(wrong(), isRefusal('too-many-requests'));
    const page = await as('system-viewer').call(auditOperations.list, { query: { operation: 'session.create' } });
    assert.ok(page.items.some(({ code, userName }) => code === 'wrong-credentials' && userName === 'ann'));
  });

  it('lets a user change the own password with the old one, which ends the other sessions', async () => {
    const [before, later] = ['correct horse', 'battery staple'];
    await as('system-admin').call(userOperations.create, { body: { name: 'bea', password: before } });
    const nobody = createClient({ baseUrl: world.baseUrl });
    const logIn = async (password: string) => {
      const { token } = await nobody.call(sessionOperations.create, { body: { userName: 'bea', password } });
      return createClient({ baseUrl: world.baseUrl, token });
    };
    const [here, elsewhere] = [await logIn(before), await logIn(before)];
    const change = (currentPassword: string) =>
      here.call(sessionOperations.changePassword, { body: { currentPassword, newPassword: later } });
    await assert.rejects(change('guessed'), isRefusal('wrong-credentials'));
    assert.equal((await elsewhere.call(sessionOperations.current)).user.name, 'bea');
    await change(before);
    assert.equal((await here.call(sessionOperations.current)).user.name, 'bea');
    await assert.rejects(elsewhere.call(sessionOperations.current), isRefusal('unauthenticated'));
    await assert.rejects(logIn(before), isRefusal('wrong-credentials'));
    assert.equal((await (await logIn(later)).call(sessionOperations.current)).user.name, 'bea');
    for (let i = 0; i < 10; i += 1) await assert.rejects(change('guessed'), isRefusal('wrong-credentials'));
    await assert.rejects(change(later), isRefusal('too-many-requests'));
  });

  it('says of a wrong field what would be right', async () => {
    const tenant = as('member');
    await world.store.transaction((tx) => insertProject(tx, world, 'asking'));
    const query = { project: 'asking' };
    const fields = async (asked: Promise<unknown>): Promise<unknown> =>
      asked.then(
        () => 'accepted',
        (error: unknown) => (error instanceof KvasirError ? [error.code, error.fields] : error),
      );
    const name = '1 to 63 letters, digits, dots, dashes and underscores, and begin with a letter or digit';
    assert.deepEqual(
      await fields(
        tenant.call(vmOperations.create, {
          query,
          body: { name: 'a b', clone: 'half' as never, bootOrder: ['tape' as never] },
        }),
      ),
      [
        'invalid-request',
        [
          { path: '/body/name', message: `must have ${name}` },
          { path: '/body/clone', message: 'must be one of: linked, full' },
          { path: '/body/bootOrder/0', message: 'must be one of: disk, network, cdrom' },
        ],
      ],
    );
    const forOperators = (path: string) => ['forbidden', [{ path, message: "is for the system's operators" }]];
    assert.deepEqual(
      await fields(tenant.call(vmOperations.create, { query, body: { name: 'a', host: 'h1' } })),
      forOperators('/body/host'),
    );
    assert.deepEqual(
      await fields(tenant.call(vmOperations.list, { query: { ...query, host: 'h1' } })),
      forOperators('/query/host'),
    );
  });

  it('answers a repeated create from its key, also many at once, and refuses the key for another request', async () => {
    const admin = as('system-admin');
    const create = (name: string) => admin.call(projectOperations.create, { body: { name }, idempotencyKey: 'k-1' });
    const answers = await Promise.all(Array.from({ length: 8 }, () => create('once')));
    assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
    await assert.rejects(create('twice'), isRefusal('idempotency-mismatch'));
    assert.equal(await projects.count(world.store.db, { name: ['once', 'twice'] }), 1);
    await assert.rejects(
      admin.call(projectOperations.create, { body: { name: 'once' }, idempotencyKey: 'k-2' }),
      isRefusal('name-taken'),
    );
  });

  it('changes an object only under the revision that was read', async () => {
    const admin = as('system-admin');
    const { id, revision } = await admin.call(clusterOperations.create, { body: { name: 'racks' } });
    const update = (ifMatch: number, description: string) =>
      admin.call(clusterOperations.update, { params: { cluster: id }, body: { description }, ifMatch });
    const results = await Promise.allSettled(['a', 'b', 'c', 'd'].map((text) => update(revision, text)));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal((await clusters.get(world.store.db, id)).revision, revision + 1);
  });

  it('takes what is there already for no change, and what is kept beside the row for one', async () => {
    const admin = as('system-admin');
    const { id, revision } = await admin.call(clusterOperations.create, {
      body: { name: 'same', description: 'a', ha: { enabled: true } },
    });
    const update = async (body: object) =>
      (await admin.call(clusterOperations.update, { params: { cluster: id }, body })).revision;
    assert.equal(await update({ name: 'same', description: 'a', ha: {} }), revision);
    assert.equal(await update({ ha: { restartLimit: 7 } }), revision + 1);
    assert.equal(await update({ description: 'b' }), revision + 2);
  });

  it('pages neither repeat nor lose what was there from the first page on', async () => {
    const admin = as('system-admin');
    const make = (name: string) => admin.call(clusterOperations.create, { body: { name } });
    const there: string[] = [];
    for (let i = 10; i < 35; i += 1) there.push((await make(`page-${i}`)).id);
    for (const sort of ['name', '-name', 'createdAt', '-createdAt']) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await admin.call(clusterOperations.list, {
          query: { sort, limit: 4, ...(cursor ? { cursor } : {}) },
        });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor ?? undefined;
        await make(`page-${10 + seen.length}-${sort.replace('-', 'down-')}`);
      } while (cursor && seen.length < 500);
      assert.equal(new Set(seen).size, seen.length, `${sort} repeats`);
      assert.deepEqual(
        there.filter((id) => !seen.includes(id)),
        [],
        `${sort} loses`,
      );
    }
    const { nextCursor } = await admin.call(clusterOperations.list, { query: { sort: 'name', limit: 1 } });
    const other = admin.call(clusterOperations.list, { query: { sort: '-name', cursor: nextCursor ?? '' } });
    await assert.rejects(other, isRefusal('invalid-request'));
    const forged = Buffer.from(JSON.stringify(['createdAt', 'not a number', 'x'])).toString('base64url');
    const odd = admin.call(clusterOperations.list, { query: { sort: 'createdAt', cursor: forged } });
    await assert.rejects(odd, isRefusal('invalid-request'));
  });

  it('streams events in order, once, across lost connections, and only those that one may see', async () => {
    const mine = await world.store.transaction((tx) => insertProject(tx, world, 'watched'));
    const total = 60;
    const write = async (n: number): Promise<void> => {
      const projectId = n % 2 === 0 ? mine.id : world.foreignProjectId;
      await world.store.transaction(async (tx) => {
        await appendEvent(tx, { at: Date.now(), kind: 'test.tick', message: String(n), projectId });
      });
    };
    const numbers: number[] = [];
    let after = (await world.store.db.selectFrom('counters').select('value').executeTakeFirstOrThrow()).value;
    const writing = (async () => {
      for (let n = 0; n < total; n += 1) await write(n);
    })();
    // Each connection is left after seven events; the next one goes on from the last.
    while (numbers.length < total / 2) {
      const connection = new AbortController();
      let taken = 0;
      for await (const event of as('viewer').watchEvents({ after, signal: connection.signal })) {
        after = event.seq;
        numbers.push(Number(event.message));
        taken += 1;
        if (taken === 7 || numbers.length === total / 2) break;
      }
      connection.abort();
    }
    await writing;
    assert.deepEqual(
      numbers,
      Array.from({ length: total / 2 }, (_, i) => i * 2),
    );
  });

  it('never promises more than a host has, however many VMs are asked for at once', async () => {
    const memoryMib = 30 * 128 + 64;
    const { project, hostIds } = await world.store.transaction(async (tx) => {
      const clusterId = await defaultClusterId(tx);
      await clusters.set(tx, { id: clusterId }, { memoryReservedMib: 0 });
      const project = await insertProject(tx, world, 'crowd');
      const hostIds: string[] = [];
      for (const name of ['c1', 'c2', 'c3', 'c4']) {
        hostIds.push((await insertHost(tx, clusterId, name, { memoryMib, cpus: 8 })).id);
      }
      const pool = await insertPool(tx, clusterId, 'crowd', hostIds);
      await insertImage(tx, project.id, 'tiny', pool.id);
      await insertNetwork(tx, project.id, 'crowd');
      return { project, hostIds };
    });
    const member = as('member');
    const create = (n: number) =>
      member.call(vmOperations.create, {
        query: { project: 'crowd' },
        body: { name: `vm-${n}`, image: 'tiny', memoryMib: 128, network: 'crowd' },
      });
    const results = await Promise.allSettled(Array.from({ length: 200 }, (_, n) => create(n)));
    const refused = results.filter((result) => result.status === 'rejected');
    assert.ok(
      refused.every(({ reason }) => isRefusal('no-host-fits')(reason)),
      String(refused[0]?.reason),
    );
    assert.equal(refused.length, 200 - 4 * 30);
    for (const hostId of hostIds) assert.equal(await vms.count(world.store.db, { projectId: project.id, hostId }), 30);
    const macs = await sql<{ count: number }>`select count(distinct mac_address) as count from ports`.execute(
      world.store.db,
    );
    assert.equal(Number(macs.rows[0]?.count), 120);
    const page = await member.call(vmOperations.list, { query: { project: 'crowd', limit: 1000 } });
    assert.equal(page.items.length, 120);
    assert.ok(
      page.items.every((vm) => vm.hostId === null && vm.hostName === null),
      'tenants do not see hosts',
    );
  });

  it('holds a project to its quota, also under many creates at once', async () => {
    const admin = as('system-admin');
    await world.store.transaction((tx) => insertProject(tx, world, 'small'));
    await admin.call(projectOperations.update, { params: { project: 'small' }, body: { quota: { vms: 3 } } });
    await world.store.transaction(async (tx) => {
      const clusterId = await defaultClusterId(tx);
      await insertHost(tx, clusterId, 'roomy');
    });
    const body = (n: number) => ({ name: `q-${n}`, memoryMib: 64, start: false });
    const asked = Array.from({ length: 9 }, (_, n) =>
      as('member').call(vmOperations.create, { query: { project: 'small' }, body: body(n) }),
    );
    const results = await Promise.allSettled(asked);
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 6);
    assert.ok(
      refused.every(({ reason }) => isRefusal('quota-exceeded')(reason)),
      String(refused[0]?.reason),
    );
    const { used } = await admin.call(projectOperations.get, { params: { project: 'small' } });
    assert.equal(used.vms, 3);
  });
});
