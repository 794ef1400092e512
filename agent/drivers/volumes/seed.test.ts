import assert from 'node:assert/strict';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runProgram } from '../program.ts';
import { SeedFolder, seedContent } from './seed.ts';
import { withDirectory } from './testing.ts';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample "quoted" user@home';

describe('cloud-init seed', () => {
  it('carries names, keys, user-data and network-config on a disk with the label cidata', async () => {
    await withDirectory(async (directory) => {
      const seeds = new SeedFolder(directory);
      const userData = '#cloud-config\nruncmd: [id]\n';
      const networkConfig = 'version: 2\n';
      const seed = { instanceId: 'i-1', hostname: 'web', sshKeys: [key], userData, networkConfig };
      const { path } = await seeds.write('vm', 'web_1', seed);
      const read = async (name: string) => (await runProgram('isoinfo', ['-i', path, '-R', '-x', name])).stdout;
      assert.match((await runProgram('isoinfo', ['-d', '-i', path])).stdout, /Volume id: cidata/);
      assert.equal(await read('/user-data'), userData);
      assert.equal(await read('/network-config'), networkConfig);
      assert.deepEqual(JSON.parse(await read('/meta-data')), {
        'instance-id': 'i-1',
        'local-hostname': 'web',
        'public-keys': [key],
      });
      assert.equal((await stat(path)).mode % 0o1000, 0o600);
    });
  });

  it('has meta-data and user-data even if nothing was asked, and a host name made of the VM name', () => {
    const content = seedContent('web_1.test', { instanceId: 'i-1' });
    assert.deepEqual(Object.keys(content), ['meta-data', 'user-data']);
    assert.equal((JSON.parse(content['meta-data'] ?? '') as Record<string, string>)['local-hostname'], 'web-1-test');
    assert.match(content['user-data'] ?? '', /^#cloud-config\n/);
  });

  it('the same content keeps the same file; another host makes one of the same layout', async () => {
    await withDirectory(async (directory) => {
      await mkdir(join(directory, 'h1', '.tmp-left'), { recursive: true });
      const seeds = new SeedFolder(join(directory, 'h1'));
      const seed = { instanceId: 'i-1', hostname: 'web' };
      const { path } = await seeds.write('vm', 'web', seed);
      const first = await stat(path);
      await seeds.write('vm', 'web', seed);
      assert.equal((await stat(path)).ino, first.ino);
      const elsewhere = await new SeedFolder(join(directory, 'h2')).write('vm', 'web', seed);
      assert.equal((await stat(elsewhere.path)).size, first.size);
      const layout = async (iso: string) =>
        (await runProgram('isoinfo', ['-l', '-i', iso])).stdout.match(/\[ *\d+ \d+\] +\S+/g);
      assert.deepEqual(await layout(elsewhere.path), await layout(path));

      await seeds.write('vm', 'web', { ...seed, instanceId: 'i-2' });
      assert.notEqual((await stat(path)).ino, first.ino);
      await seeds.remove('vm');
      assert.deepEqual(await readdir(join(directory, 'h1')), []);
    });
  });

  it('what a crash left half made goes with the next change, also when that is a removal', async () => {
    await withDirectory(async (directory) => {
      await mkdir(join(directory, '.tmp-left'));
      await new SeedFolder(directory).remove('vm');
      assert.deepEqual(await readdir(directory), []);
    });
  });
});
