/** What is not plain JSON: the console's WebSocket with its ticket, the screenshot, uploads by tus, the documents about the API. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { allOperations } from '@kvasir/api/contract.ts';
import { imageOperations } from '@kvasir/api/resources/image.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { WebSocket } from 'ws';
import { images } from '../store/images.ts';
import { tasks } from '../store/tasks.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertPool, insertVm } from './testing/inventory.ts';

forEachDatabase('streams', (open) => {
  let world: ApiWorld;
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });
  const vm = { params: { vm: 'web' }, query: { project: 'shop' } };
  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      const clusterId = await defaultClusterId(tx);
      const project = await insertProject(tx, world, 'shop');
      const host = await insertHost(tx, clusterId, 'h1');
      await insertPool(tx, clusterId, 'gold', [host.id]);
      await insertVm(tx, project.id, 'web', clusterId, { hostId: host.id });
    });
  });
  after(() => world.close());

  const dial = (path: string, ...protocols: string[]): WebSocket =>
    new WebSocket(world.baseUrl.replace('http', 'ws') + path, protocols);

  it('opens a console once for its ticket, and carries bytes both ways', async () => {
    const { path, ticket } = await as('member').call(vmOperations.openConsole, { ...vm, body: { kind: 'serial' } });
    const socket = dial(path, 'kvasir.console', `kvasir.ticket.${ticket}`);
    await once(socket, 'open');
    assert.equal(socket.protocol, 'kvasir.console');
    const { far } = world.links.consoles.at(-1)!;
    far.write(Buffer.from([0, 255, 10]));
    const [fromGuest] = (await once(socket, 'message')) as [Buffer];
    assert.deepEqual([...fromGuest], [0, 255, 10]);
    socket.send(Buffer.from('ls\n'));
    const [fromPerson] = (await once(far, 'data')) as [Buffer];
    assert.equal(fromPerson.toString(), 'ls\n');
    far.end();
    await once(socket, 'close');

    const again = dial(path, 'kvasir.console', `kvasir.ticket.${ticket}`);
    const [error] = (await once(again, 'error')) as [Error];
    assert.match(error.message, /401/);
  });

  it('ends the console at the host when the upgrade comes to nothing', async () => {
    const { path, ticket } = await as('member').call(vmOperations.openConsole, { ...vm, body: { kind: 'serial' } });
    const { hostname, port } = new URL(world.baseUrl);
    const socket = connect(Number(port), hostname);
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: ${hostname}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Protocol: kvasir.console, kvasir.ticket.${ticket}`,
    ];
    const opened = world.links.consoles.length;
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 400/);
    assert.equal(world.links.consoles.length, opened + 1);
    const { near } = world.links.consoles.at(-1)!;
    const giveUp = Date.now() + 5000;
    while (!near.destroyed && Date.now() < giveUp) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(near.destroyed, true);
  });

  it('takes no console without a ticket, or with the ticket of another VM', async () => {
    const { ticket } = await as('member').call(vmOperations.openConsole, { ...vm, body: { kind: 'vnc' } });
    const other = '/v1/vms/00000000-0000-4000-8000-000000000000/console';
    const refused = [
      [other, 'kvasir.console', `kvasir.ticket.${ticket}`],
      [other, 'kvasir.console'],
      ['/v1/vms'],
    ] as const;
    for (const [path, ...protocols] of refused) {
      const [error] = (await once(dial(path, ...protocols), 'error')) as [Error];
      assert.match(error.message, /40[14]/);
    }
  });

  it('hands out the picture of a screen', async () => {
    const picture = (await as('viewer').call(vmOperations.screenshot, vm)) as Uint8Array;
    assert.match(Buffer.from(picture).toString(), /PNG/);
  });

  it('takes an image in pieces, only from members of its project, and then starts the import', async () => {
    const content = Buffer.alloc(300_000, 7);
    const { image, uploadPath } = await as('member').call(imageOperations.upload, {
      query: { project: 'shop' },
      body: { name: 'uploaded', pool: 'gold', sizeBytes: content.length },
    });
    const send = (who: Person, offset: number, piece: Buffer) =>
      fetch(world.baseUrl + uploadPath, {
        method: 'PATCH',
        headers: {
          authorization: `Bearer ${world.tokens[who]}`,
          'tus-resumable': '1.0.0',
          'upload-offset': String(offset),
          'content-type': 'application/offset+octet-stream',
        },
        body: new Uint8Array(piece),
      });
    assert.equal((await send('outsider', 0, content)).status, 404);
    assert.equal((await send('viewer', 0, content)).status, 403);
    assert.equal((await send('member', 0, content.subarray(0, 100_000))).status, 204);
    assert.equal((await send('member', 5, content.subarray(0, 10))).status, 409);
    const head = await fetch(world.baseUrl + uploadPath, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${world.tokens.member}`, 'tus-resumable': '1.0.0' },
    });
    assert.equal(head.headers.get('upload-offset'), '100000');
    assert.equal((await images.get(world.store.db, image.id)).state, 'uploading');
    assert.equal((await send('member', 100_000, content.subarray(100_000))).status, 204);
    assert.equal((await images.get(world.store.db, image.id)).state, 'importing');
    const [task] = await tasks.select(world.store.db, { targetId: image.id });
    assert.equal(task?.kind, 'image-import');
    assert.equal(await world.env.spool.size(uploadPath.split('/').at(-1)!), content.length);
  });

  it('describes itself, from its own address alone', async () => {
    const document = (await (await fetch(`${world.baseUrl}/openapi.json`)).json()) as {
      openapi: string;
      paths: object;
    };
    assert.equal(document.openapi, '3.1.0');
    const addresses = new Set(allOperations.map(({ path }) => `/v1${path}`));
    assert.deepEqual(new Set(Object.keys(document.paths)), addresses);
    const entrance = await fetch(world.baseUrl);
    assert.deepEqual([entrance.status, new URL(entrance.url).pathname], [200, '/docs']);
    const page = await fetch(`${world.baseUrl}/docs/`);
    assert.equal(page.status, 200);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'self'/);
    assert.doesNotMatch(await page.text(), /(?:src|href)="(?:https?:)?\/\//);
    assert.equal((await fetch(`${world.baseUrl}/healthz`)).status, 200);
    assert.match(await (await fetch(`${world.baseUrl}/metrics`)).text(), /kvasir_event_loop_delay_max_seconds \d/);
  });
});
