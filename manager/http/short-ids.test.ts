/** Lists show ids cut; what can be read there can be typed. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { eventOperations } from '@kvasir/api/resources/event.ts';
import { imageOperations } from '@kvasir/api/resources/image.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import { appendEvent } from '../store/events.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './testing/api-world.ts';
import { defaultClusterId, insertImage, insertPool } from './testing/inventory.ts';

function isRefusal(code: string): (error: unknown) => boolean {
  return (error) => error instanceof KvasirError && error.code === code;
}

forEachDatabase('short ids', (open) => {
  let world: ApiWorld;
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });
  before(async () => {
    world = await openApiWorld(await open());
  });
  after(() => world.close());

  it('takes an id as short as lists show it, of its own project and unless it is ambiguous', async () => {
    const tenant = as('member');
    await world.store.transaction(async (tx) => {
      const { id: projectId } = await insertProject(tx, world, 'short');
      const pool = await insertPool(tx, await defaultClusterId(tx), 'short', []);
      const add = (name: string, id: string, of = projectId) => insertImage(tx, of, name, pool.id, { id });
      await add('one', '0badcafe-0000-4000-8000-000000000001');
      await add('two', '0badcafe-1111-4000-8000-000000000001');
      await add('0badcafe-9', '0badf00d-0000-4000-8000-000000000001');
      await add('theirs', '0badbeef-0000-4000-8000-000000000001', world.foreignProjectId);
    });
    const nameOf = async (image: string) =>
      (await tenant.call(imageOperations.get, { params: { image }, query: { project: 'short' } })).name;
    assert.equal(await nameOf('0badcafe-1'), 'two');
    assert.equal(await nameOf('0badf00d'), '0badcafe-9');
    assert.equal(await nameOf('0badcafe-9'), '0badcafe-9', 'a name comes first');
    await assert.rejects(nameOf('0badcafe'), isRefusal('invalid-request'));
    for (const none of ['0badbeef', '0badf00', '0badf00e']) await assert.rejects(nameOf(none), isRefusal('not-found'));
  });

  it('lists tasks and events of a target by as much of its id as lists show', async () => {
    await world.store.transaction(async (tx) => {
      const { id: projectId } = await insertProject(tx, world, 'told');
      const tell = async (message: string, id: string, of = projectId) => {
        const target = { kind: 'volume', id, name: message };
        await appendEvent(tx, { at: 1, kind: 'test.told', message, target, projectId: of });
        await enqueueTask(tx, world.env, {
          kind: 'volume-delete',
          params: { volumeId: id, hostId: id },
          target,
          projectId: of,
          userId: null,
        });
      };
      await tell('one', '0badcafe-0000-4000-8000-000000000001');
      await tell('two', '0badcafe-1111-4000-8000-000000000001');
      await tell('theirs', '0badcafe-1222-4000-8000-000000000001', world.foreignProjectId);
    });
    const listed = async (who: Person, target: string, project?: string) => {
      const query = { target, ...(project === undefined ? {} : { project }) };
      const { items: told } = await as(who).call(eventOperations.list, { query: { ...query, kind: 'test.told' } });
      const { items: worked } = await as(who).call(taskOperations.list, { query });
      return [told.map(({ message }) => message), worked.map((task) => task.target.name)];
    };
    for (const two of ['0badcafe-1', '0badcafe-1111-4000-8000-000000000001']) {
      assert.deepEqual(await listed('member', two), [['two'], ['two']]);
      assert.deepEqual(await listed('member', two, 'told'), [['two'], ['two']]);
    }
    for (const none of ['0badcafe-3', '0badcafe-12', '0badcaff']) {
      assert.deepEqual(await listed('member', none), [[], []]);
    }
    assert.deepEqual(await listed('system-viewer', '0badcafe-12'), [['theirs'], ['theirs']]);
    await assert.rejects(listed('member', '0badcafe'), isRefusal('invalid-request'));
    await assert.rejects(listed('member', '0badcaf'), isRefusal('invalid-request'));
    await assert.rejects(
      as('member').call(taskOperations.list, { query: { target: '0badcafe' } }),
      (error) => error instanceof KvasirError && error.fields?.[0]?.path === '/query/target',
    );
  });
});
