/** Uploads: the whole file arrives, an upload that was cut off goes on where it was, a forgotten one starts afresh. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { type FakeManager, startFakeManager } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';
import { temporaryHome } from './testing/temporary-home.ts';

const content = randomBytes(3 * 1024 * 1024);
const sha256 = createHash('sha256').update(content).digest('hex');
const imageId = '01890000-0000-7000-8000-000000000001';

interface Store {
  received: Buffer;
  /** Bytes after which the next PATCH is cut; then the server refuses to go on. */
  cutAfter: number | undefined;
  gone: boolean;
  readonly offsets: number[];
}

/** A tus server for one upload (protocol 1.0.0, core and nothing else). */
function serveUpload(manager: FakeManager): Store {
  const store: Store = { received: Buffer.alloc(0), cutAfter: undefined, gone: false, offsets: [] };
  manager.answer('image.upload', ({ body }) => {
    store.gone = false;
    store.received = Buffer.alloc(0);
    const image = { id: imageId, name: (body as { name: string }).name, state: 'uploading' };
    return { image, uploadPath: '/v1/uploads/u1' };
  });
  const states = ['uploading', 'importing'];
  manager.answer('image.get', () => ({ id: imageId, name: 'tiny', state: states.shift() ?? 'ready' }));
  manager.others.set('/v1/uploads/u1', (request, response) => {
    response.setHeader('tus-resumable', '1.0.0');
    if (store.gone) response.writeHead(404).end();
    else if (request.headers.authorization !== 'Bearer t') response.writeHead(401).end();
    else if (request.method === 'HEAD') sendOffset(response, 200);
    else void receive(request, response);
  });
  const sendOffset = (response: ServerResponse, status: number) =>
    response.writeHead(status, { 'upload-offset': store.received.length, 'upload-length': content.length }).end();
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    store.offsets.push(Number(request.headers['upload-offset']));
    for await (const chunk of request) {
      store.received = Buffer.concat([store.received, chunk as Buffer]);
      if (store.cutAfter === undefined || store.received.length < store.cutAfter) continue;
      // A refusal and not a lost connection: the program gives up at once, as if it had been killed.
      response.writeHead(403, { connection: 'close' }).end();
      return;
    }
    sendOffset(response, 204);
  };
  return store;
}

async function upload(manager: FakeManager, home: string) {
  const file = join(home, 'tiny.qcow2');
  await writeFile(file, content, { flag: 'wx' }).catch(() => {});
  const words = ['image', 'upload', file, '--name', 'tiny', '--pool', 'shared', '--wait', '-o', 'json'];
  return runCli(words, { env: { HOME: home, KVASIR_URL: manager.url, KVASIR_TOKEN: 't' } });
}

const announced = (manager: FakeManager) => manager.requests.filter((asked) => asked.operation === 'image.upload');

test('the whole file arrives, announced with its size and checksum', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  const store = serveUpload(manager);
  const { code, stdout, stderr } = await upload(manager, home.path);
  assert.equal(code, 0, stderr);
  assert.equal(store.received.equals(content), true);
  assert.deepEqual(announced(manager)[0]?.body, { name: 'tiny', pool: 'shared', sizeBytes: content.length, sha256 });
  assert.equal((JSON.parse(stdout) as { state: string }).state, 'ready');
  assert.match(stderr, /image tiny: sent; the manager is importing it\n/);
  assert.deepEqual(await readdir(join(home.path, '.local/state/kvasir/uploads')), []);
});

test('a refusal is told with its reason, and the image is not shown as if it were there', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  serveUpload(manager);
  manager.answer('image.get', () => ({ id: imageId, name: 'tiny', state: 'failed' }));
  const error = { code: 'bad-image', message: 'The image is refused: it has a backing file' };
  manager.answer('task.list', ({ query }) => ({
    items: query.target === imageId ? [{ error }] : [],
    nextCursor: null,
  }));
  const { code, stdout, stderr } = await upload(manager, home.path);
  assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
  assert.match(stderr, /^error: The image is refused: it has a backing file; .*kvasir image delete tiny$/m);
});

test('the same command goes on from the byte that the manager has', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  const store = serveUpload(manager);
  store.cutAfter = 1024 * 1024;
  const first = await upload(manager, home.path);
  assert.equal(first.code, 1);
  assert.match(first.stderr, /error: the upload/);
  const had = store.received.length;
  assert.ok(had >= 1024 * 1024 && had < content.length);

  store.cutAfter = undefined;
  const second = await upload(manager, home.path);
  assert.equal(second.code, 0, second.stderr);
  assert.equal(store.received.equals(content), true);
  assert.equal(store.offsets.at(-1), had, 'nothing is sent twice');
  assert.equal(announced(manager).length, 1);
});

test('an upload that the manager forgot starts afresh under another key', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  const store = serveUpload(manager);
  store.cutAfter = 1024 * 1024;
  await upload(manager, home.path);
  store.cutAfter = undefined;
  store.gone = true;
  const { code, stderr } = await upload(manager, home.path);
  assert.equal(code, 0, stderr);
  assert.equal(store.received.equals(content), true);
  const keys = announced(manager).map((asked) => asked.headers['idempotency-key']);
  assert.equal(keys.length, 2);
  assert.notEqual(keys[0], keys[1]);
});

test('a lost answer to the announcement is asked again under the same key', async () => {
  await using home = await temporaryHome();
  await using manager = await startFakeManager();
  serveUpload(manager);
  const serve = manager.requests;
  await using deaf = await startFakeManager();
  deaf.answer('image.upload', (_asked, response) => void response.destroy());
  assert.equal((await upload(deaf, home.path)).code, 1);
  assert.equal((await upload(deaf, home.path)).code, 1);
  const keys = announced(deaf).map((asked) => asked.headers['idempotency-key']);
  assert.equal(keys.length, 2);
  assert.equal(keys[0], keys[1]);
  assert.deepEqual(serve, []);
});
