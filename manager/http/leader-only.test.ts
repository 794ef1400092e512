/** A manager that stands by answers what it can, and says of the rest which manager to ask. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { WebSocket } from 'ws';
import { leader } from '../store/leader.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { handlers } from './handlers.ts';
import { createServer } from './server.ts';
import { type ApiWorld, openApiWorld, type Person } from './testing/api-world.ts';
import { ask } from './testing/ask.ts';
import { sampleRequest } from './testing/targets.ts';

const here = 'This manager is not the leader now';

forEachDatabase('a manager that stands by', (open) => {
  let world: ApiWorld;
  let leads = false;
  before(async () => {
    const opened = await openApiWorld(await open());
    const standby = await createServer(opened.env, { leads: () => leads });
    const baseUrl = await standby.listen({ host: '127.0.0.1', port: 0 });
    const close = async (): Promise<void> => {
      await standby.close();
      await opened.close();
    };
    world = { ...opened, baseUrl, close };
    await holdLease('boot/ns/1/2/cp1:8080');
  });
  after(() => world.close());
  const holdLease = (holder: string | null, leaseUntil = Date.now() + 60_000) =>
    world.store.transaction((tx) => leader.set(tx, { id: 'leader' }, { holder, leaseUntil }));
  const op = (id: string) => handlers.find((handler) => handler.op.id === id)!.op;
  const answer = async (id: string, who: Person = 'system-admin') =>
    await ask(world, who, op(id), await sampleRequest(world, op(id), world.userIds[who]));

  it('refuses what needs the links to hosts, or what was heard or kept by the leader alone', async () => {
    const only = handlers.filter(({ onlyLeader }) => onlyLeader === true).map(({ op: { id } }) => id);
    assert.deepEqual(only.toSorted(), [
      'ha.drill',
      'ha.explain',
      'host.confirmOff',
      'image.upload',
      'network.trace',
      'port.counters',
      'vm.openConsole',
      'vm.screenshot',
    ]);
    for (const id of only) {
      const { status, problem } = await answer(id);
      assert.deepEqual([status, problem?.code], [503, 'not-leader'], id);
      assert.equal(problem?.message, `${here}: ask the one on cp1:8080`);
    }
    assert.equal((await answer('vm.list')).status, 200);
    assert.equal((await ask(world, undefined, op('vm.screenshot'), {})).status, 401, 'who is nobody is told nothing');
  });

  it('names the other to operators only, and only while that leads', async () => {
    const message = async (who: Person) => (await answer('vm.screenshot', who)).problem?.message;
    assert.equal(await message('member'), `${here}: ask the one that is`);
    assert.equal(await message('system-viewer'), `${here}: ask the one on cp1:8080`);
    await holdLease('boot/ns/1/2');
    assert.equal(await message('system-admin'), `${here}: ask the one that is`);
    await holdLease('boot/ns/1/2/cp1:8080', Date.now() - 1);
    assert.equal(await message('system-admin'), `${here}, and no other: try again`);
    await holdLease(null);
    assert.equal(await message('system-admin'), `${here}, and no other: try again`);
    await holdLease('boot/ns/1/2/cp1:8080');
  });

  it('takes no bytes of an upload, and joins no console', async () => {
    leads = true;
    const uploaded = await answer('image.upload', 'member');
    const opened = await answer('vm.openConsole', 'member');
    leads = false;
    const { uploadPath } = uploaded.body as { uploadPath: string };
    const { path, ticket } = opened.body as { path: string; ticket: string };
    const patch = await fetch(world.baseUrl + uploadPath, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${world.tokens.member}`,
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
      },
      body: new Uint8Array(10),
    });
    assert.deepEqual([patch.status, ((await patch.json()) as { code: string }).code], [503, 'not-leader']);
    const socket = new WebSocket(world.baseUrl.replace('http', 'ws') + path, [
      'kvasir.console',
      `kvasir.ticket.${ticket}`,
    ]);
    const message = await new Promise<string>((resolve) => {
      socket.once('error', (error) => resolve(error.message));
      socket.once('open', () => resolve('it was joined'));
    });
    socket.terminate();
    assert.match(message, /503/);
    assert.equal(world.links.consoles.length, 0);
  });

  it('answers all of it once it leads', async () => {
    leads = true;
    for (const id of ['vm.screenshot', 'vm.openConsole', 'ha.drill']) assert.ok((await answer(id)).status < 300, id);
    leads = false;
  });
});
