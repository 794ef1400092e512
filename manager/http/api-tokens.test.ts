/** API tokens: what is made with one that ends, ends no later. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { apiTokenOperations, sessionOperations } from '@kvasir/api/resources/session.ts';
import { userOperations } from '@kvasir/api/resources/user.ts';
import { openSqlite } from '../testing/databases.ts';
import { openApiWorld } from './testing/api-world.ts';

it('a token that is made with a token does not outlive it; a login makes what it likes', async (context) => {
  const opened = await openSqlite();
  const { baseUrl, tokens, store, close } = await openApiWorld(opened.store);
  context.after(async () => {
    await close();
    await opened.close();
  });
  const client = (token?: string) => createClient({ baseUrl, token });
  const create = async (by: string, name: string, lifetimeDays?: number) =>
    await client(by).call(apiTokenOperations.create, { body: { name, lifetimeDays } });

  const week = await create(tokens.member, 'week', 7);
  const end = Date.parse(week.apiToken.expiresAt!);
  await assert.rejects(create(week.secret, 'longer', 8), (error: unknown) => {
    assert.ok(error instanceof KvasirError);
    assert.equal(error.code, 'invalid-request');
    assert.deepEqual(
      error.fields?.map(({ path }) => path),
      ['/body/lifetimeDays'],
    );
    assert.ok(error.message.includes(week.apiToken.expiresAt!), error.message);
    return true;
  });
  assert.ok(Date.parse((await create(week.secret, 'day', 1)).apiToken.expiresAt!) < end);
  const unsaid = await create(week.secret, 'unsaid');
  assert.equal(unsaid.apiToken.expiresAt, week.apiToken.expiresAt);
  await assert.rejects(create(unsaid.secret, 'grandchild', 3650), { code: 'invalid-request' });
  assert.equal((await create(tokens.member, 'for-ever')).apiToken.expiresAt, null, 'as the token that makes it');

  const password = 'correct horse';
  await client(tokens['system-admin']).call(userOperations.create, { body: { name: 'ann', password } });
  const login = await client().call(sessionOperations.create, { body: { userName: 'ann', password } });
  assert.equal((await create(login.token, 'robot')).apiToken.expiresAt, null);
  assert.equal(
    await store.db.selectFrom('apiTokens').select('id').where('name', '=', 'longer').executeTakeFirst(),
    undefined,
  );
});
