import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { makeFirstAdmin } from './first-admin.ts';
import { systemIds } from './ids.ts';
import { verifyPassword } from './services/passwords.ts';
import { users } from './store/users.ts';
import { forEachDatabase } from './testing/databases.ts';

forEachDatabase('the first administrator', (open) => {
  const folders: string[] = [];
  after(async () => {
    for (const folder of folders) await rm(folder, { recursive: true });
  });

  test('is one, also when two managers start at once, and only its password is left in a file', async () => {
    const store = await open();
    for (let n = 0; n < 2; n += 1) folders.push(await mkdtemp(join(tmpdir(), 'kvasir-first-')));
    const seams = { clock: systemClock, ids: systemIds };
    const made = await Promise.all(folders.map((folder) => makeFirstAdmin(store, seams, folder)));
    const left = await Promise.all(
      folders.map((folder) => readFile(join(folder, 'admin-password'), 'utf8').catch(() => undefined)),
    );
    const [admin, ...others] = await users.select(store.db);
    assert.deepEqual([admin?.systemRole, others], ['admin', []]);
    const passwords = left.flatMap((text) => (text === undefined ? [] : [text.trim()]));
    assert.deepEqual(
      passwords,
      made.flatMap((one) => (one === undefined ? [] : [one.password])),
    );
    assert.equal(passwords.length, 1);
    assert.ok(await verifyPassword(passwords[0]!, admin?.passwordHash));
    assert.equal(await makeFirstAdmin(store, seams, folders[0]!), undefined);
  });
});
