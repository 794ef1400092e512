/** Bytes of an upload that were taken stay, whatever else goes on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { imageOperations } from '@kvasir/api/resources/image.ts';
import { poolOperations } from '@kvasir/api/resources/pool.ts';
import { hosts } from '../store/hosts.ts';
import { tidyUploads } from '../tasks/upload-import-intent.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertPool } from './testing/inventory.ts';

forEachDatabase('uploads', (open) => {
  let world: ApiWorld;
  let count = 0;
  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      const clusterId = await defaultClusterId(tx);
      await insertProject(tx, world, 'shop');
      const host = await insertHost(tx, clusterId, 'h1');
      await insertPool(tx, clusterId, 'gold', [host.id]);
    });
  });
  after(() => world.close());

  /** Answers where it goes on. */
  async function announce(sizeBytes: number): Promise<string> {
    const client = createClient({ baseUrl: world.baseUrl, token: world.tokens.member });
    count += 1;
    const body = { name: `image-${count}`, pool: 'gold', sizeBytes };
    return (await client.call(imageOperations.upload, { query: { project: 'shop' }, body })).uploadPath;
  }

  const ask = (method: 'HEAD' | 'PATCH', path: string, more: { offset?: number; piece?: Uint8Array } = {}) =>
    fetch(world.baseUrl + path, {
      method,
      headers: {
        authorization: `Bearer ${world.tokens.member}`,
        'tus-resumable': '1.0.0',
        ...(more.offset === undefined ? {} : { 'upload-offset': String(more.offset) }),
        ...(method === 'HEAD' ? {} : { 'content-type': 'application/offset+octet-stream' }),
      },
      ...(more.piece === undefined ? {} : { body: new Uint8Array(more.piece) }),
    });

  const arrived = async (path: string): Promise<number> =>
    Number((await ask('HEAD', path)).headers.get('upload-offset'));

  it('tidying leaves an upload that begins meanwhile', async () => {
    const { env } = world;
    let path = '';
    const list = async (): Promise<string[]> => {
      path = await announce(1000);
      assert.equal((await ask('PATCH', path, { offset: 0, piece: randomBytes(400) })).status, 204);
      return env.spool.list();
    };
    const spool = {
      open: (id: string) => env.spool.open(id),
      remove: (id: string) => env.spool.remove(id),
      size: (id: string) => env.spool.size(id),
      sync: (id: string) => env.spool.sync(id),
      list,
    };
    await tidyUploads({ ...env, spool });
    assert.equal(await arrived(path), 400);
  });

  it('many first requests at once make one file', async () => {
    for (let round = 0; round < 40; round += 1) {
      const content = randomBytes(4000);
      const path = await announce(content.length + 1);
      const asked = Array.from({ length: 6 }, (_, n) =>
        n === 2 ? ask('PATCH', path, { offset: 0, piece: content }) : ask('HEAD', path),
      );
      const answers = await Promise.all(asked);
      if (answers[2]!.status === 204) assert.equal(await arrived(path), content.length, `round ${round}`);
      else assert.fail(String(answers[2]!.status));
      const kept = await world.env.spool.open(path.split('/').at(-1)!);
      assert.deepEqual(Buffer.concat(await kept.toArray()), content, `round ${round}`);
    }
  });

  it('a pool stays while an image is on its way there', async () => {
    const admin = createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });
    const refused = (name: string) =>
      assert.rejects(
        admin.call(poolOperations.delete, { params: { pool: name } }),
        (error) =>
          error instanceof KvasirError &&
          error.code === 'in-use' &&
          /(on their way|that work) there/.test(error.message),
      );
    await world.store.transaction(async (tx) => {
      const clusterId = await defaultClusterId(tx);
      const [host] = await hosts.select(tx, { name: 'h1' });
      for (const name of ['silver', 'tin']) await insertPool(tx, clusterId, name, [host!.id]);
    });
    const query = { project: 'shop' };
    const announced = { name: 'announced', pool: 'silver', sizeBytes: 10 };
    await admin.call(imageOperations.upload, { query, body: announced });
    await refused('silver');
    await admin.call(imageOperations.import, { query, body: { name: 'imported', pool: 'tin', file: 'a.qcow2' } });
    await refused('tin');
  });
});
