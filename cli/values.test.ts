/** Words -> values: sizes, files, stdin, lists, objects. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectOperations } from '@kvasir/api/resources/project.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import { fieldsOf } from './fields.ts';
import { temporaryHome } from './testing/temporary-home.ts';
import { UsageError } from './usage-error.ts';
import { parseSize, parseValue } from './values.ts';

function parse(operation: unknown, flag: string, ...words: string[]): Promise<unknown> {
  const field = fieldsOf(operation as Operation).options.find((one) => one.flag === flag);
  assert.ok(field, flag);
  const source = { readStdin: async () => 'from stdin', readSecret: async () => 'secret' };
  return parseValue(field, words, source);
}

test('sizes in every unit', () => {
  const mib = (text: string) => parseSize('--memory', text, 'mib', true);
  assert.deepEqual(
    ['128', '128MiB', '128M', '1GiB', '1.5g', '1 TiB', '2048KiB'].map(mib),
    [128, 128, 128, 1024, 1536, 1_048_576, 2],
  );
  assert.equal(parseSize('--size', '512MiB', 'gib', false), 0.5);
  for (const wrong of ['128MB', '1.5MiB', '', 'MiB', '1e400', '1KiB', '1.2.3']) {
    assert.throws(() => mib(wrong), UsageError, wrong);
  }
});

test('@file, @@ and - for texts; @file gives the lines of a list', async () => {
  await using home = await temporaryHome();
  const file = join(home.path, 'keys');
  await writeFile(file, '# mine\nssh-ed25519 AAAA a\n\nssh-ed25519 BBBB b\r\n');
  const create = vmOperations.create;
  assert.equal(await parse(create, 'cloud-init-user-data', '-'), 'from stdin');
  assert.equal(await parse(create, 'cloud-init-user-data', '@@home'), '@home');
  assert.match(String(await parse(create, 'cloud-init-user-data', `@${file}`)), /^# mine\n/);
  const keys = ['ssh-ed25519 AAAA a', 'ssh-ed25519 BBBB b'];
  assert.deepEqual(await parse(create, 'cloud-init-ssh-keys', `@${file}`, 'ssh-rsa CCCC c'), [
    ...keys,
    'ssh-rsa CCCC c',
  ]);
});

test('labels, lists, objects and "none"', async () => {
  const create = vmOperations.create;
  assert.deepEqual(await parse(create, 'label', 'tier=web', 'note=a=b'), { tier: 'web', note: 'a=b' });
  assert.deepEqual(await parse(create, 'label', ''), {});
  assert.deepEqual(await parse(create, 'boot-order', 'disk,network', 'cdrom'), ['disk', 'network', 'cdrom']);
  assert.deepEqual(await parse(create, 'disks', 'size=1GiB,bus=scsi', '[{"volume":"v"}]'), [
    { sizeGib: 1, bus: 'scsi' },
    { volume: 'v' },
  ]);
  await assert.rejects(parse(create, 'disks', 'size=1GiB,size=2GiB'), /"size" stands there twice/);
  await assert.rejects(parse(create, 'disks', 'size=1GiB,sizeGib=2'), /"sizeGib" stands there twice/);
  assert.equal(await parse(projectOperations.update, 'quota-memory', 'none'), null);
  assert.equal(await parse(projectOperations.update, 'quota-memory', '2GiB'), 2048);
});
