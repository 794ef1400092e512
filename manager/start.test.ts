/** Two managers on one database: the second stands by, says so, and takes over when the first stops. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { createClient } from '@kvasir/api/client.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { sessionOperations } from '@kvasir/api/resources/session.ts';
import { type Manager, startManager } from './start.ts';
import { openPostgres } from './testing/databases.ts';
import { memoryFolder } from './testing/memory-folder.ts';

test('a manager that stands by refuses what only the leader can do, until it leads', {
  timeout: 60_000,
}, async (context) => {
  const folder = await mkdtemp(join(memoryFolder, 'kvasir-managers-'));
  const { url, close } = await openPostgres();
  const managers: Manager[] = [];
  context.after(async () => {
    for (const manager of managers) await manager.stop();
    await close();
    await rm(folder, { recursive: true });
  });
  const open = async (name: string): Promise<Manager> => {
    // Of one process, they are told apart by their ports.
    const listen = { host: '127.0.0.1', port: await freePort() };
    const log = pino({ level: 'silent' });
    const manager = await startManager({ dataFolder: join(folder, name), database: url, listen, log });
    managers.push(manager);
    return manager;
  };
  const first = await open('first');
  const { userName, password } = first.firstAdmin!;
  const { token } = await createClient({ baseUrl: first.address }).call(sessionOperations.create, {
    body: { userName, password },
  });
  /** The code of the answer: there is no such host. */
  const drill = async ({ address }: Manager): Promise<string> => {
    const asked = createClient({ baseUrl: address, token }).call(haOperations.drill, { params: { host: 'nowhere' } });
    const error: unknown = await asked.catch((thrown: unknown) => thrown);
    assert.ok(error instanceof KvasirError, String(error));
    return error.code === 'not-leader' ? error.message : error.code;
  };
  const until = async (manager: Manager, answer: string): Promise<void> => {
    while ((await drill(manager)) !== answer) await systemClock.sleep(50);
  };
  await until(first, 'not-found');
  const second = await open('second');
  assert.equal(
    await drill(second),
    `This manager is not the leader now: ask the one on ${hostname()}:${new URL(first.address).port}`,
  );
  assert.deepEqual((await createClient({ baseUrl: second.address, token }).call(hostOperations.list, {})).items, []);
  await first.stop();
  await until(second, 'not-found');
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
