/** Images come by upload or from a pool's folder, whole or not at all, and stay while something stands on them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { type Image, imageOperations } from '@kvasir/api/resources/image.ts';
import { run } from '@kvasir/lab/command.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { virsh } from './testing/guest.ts';

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('images arrive whole or not at all', { timeout: 300_000 }, () => {
  const cloud = useCloud();
  let raw: string;

  /** A file in the folder of the shared pool from which images are imported. */
  const importable = (file: string): string => cloud().lab.sharedPath(`import/${file}`);
  const imageNamed = (name: string) => cloud().kvasir<Image>('image', 'show', name);
  const refusedImport = (name: string, file: string, ...more: string[]): Promise<string> =>
    cloud().refused('image', 'import', name, '--pool', 'shared', '--file', file, '--wait', ...more);
  const filesOf = async (imageId: string): Promise<string[]> =>
    (await cloud().lab.host('h1').exec(['find', '/srv/kvasir/shared', '-type', 'f']))
      .split('\n')
      .filter((file) => file.includes(imageId));

  before(async () => {
    mkdirSync(cloud().lab.sharedPath('import'), { recursive: true });
    raw = join(cloud().directory, 'disk.raw');
    await run(['qemu-img', 'convert', '-O', 'raw', cloud().imagePath, raw]);
  });

  it('imported from a path an image is measured, checksummed and ready', async () => {
    const image = await imageNamed('tiny');
    assert.deepEqual(
      [image.state, image.format, image.virtualSizeMib, image.public, image.sha256],
      ['ready', 'qcow2', 64, true, sha256(cloud().imagePath)],
    );
    assert.equal((await filesOf(image.id)).length > 0, true);
  });

  it('a raw disk is taken, and a VM starts from a linked clone of it', async () => {
    copyFileSync(raw, importable('disk.raw'));
    await cloud().kvasir('image', 'import', 'rawimage', '--pool', 'shared', '--file', 'disk.raw', '--wait');
    const image = await imageNamed('rawimage');
    assert.deepEqual([image.format, image.virtualSizeMib, image.sha256], ['raw', 64, sha256(raw)]);
    await cloud().kvasir('vm', 'create', 'onraw', '--image', 'rawimage', '--memory', '128MiB', '--no-start', '--wait');
    await cloud().kvasir('vm', 'start', 'onraw', '--paused', '--wait');
    const vm = await cloud().vm('onraw');
    assert.equal(
      (
        await cloud()
          .hostOf(vm)
          .exec([...virsh, 'domstate', vm.id])
      ).trim(),
      'paused',
    );

    assert.match(await cloud().refused('image', 'delete', 'rawimage'), /onraw/);
    assert.equal((await imageNamed('rawimage')).state, 'ready');
    await cloud().purge('onraw');
    await cloud().kvasir('image', 'delete', 'rawimage', '--wait');
    assert.deepEqual(await filesOf(image.id), []);
  });

  it('refused with the reason, and without a copy: backing file, data file, no disk, cut off, beyond the quota', async () => {
    copyFileSync(cloud().imagePath, importable('base.qcow2'));
    await run([
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qcow2',
      '-b',
      'base.qcow2',
      '-F',
      'qcow2',
      importable('child.qcow2'),
    ]);
    const dataFile = `data_file=${importable('outside.raw')}`;
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-o', dataFile, importable('split.qcow2'), '1M']);
    writeFileSync(importable('text.qcow2'), 'this is no disk\n'.repeat(64));
    copyFileSync(cloud().imagePath, importable('short.qcow2'));
    truncateSync(importable('short.qcow2'), 70_000);
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', importable('huge.qcow2'), '2G']);
    assert.match(await refusedImport('bad1', 'child.qcow2'), /backing file/);
    assert.match(await refusedImport('bad2', 'split.qcow2'), /another file/);
    assert.match(await refusedImport('bad3', 'text.qcow2'), /no disk image/);
    assert.match(await refusedImport('bad4', 'short.qcow2'), /cut off|qemu-img/);
    assert.match(await refusedImport('bad5', 'nowhere.qcow2'), /nowhere\.qcow2/);
    await cloud().kvasir('project', 'create', 'small', '--quota-storage', '1GiB');
    assert.match(await refusedImport('big', 'huge.qcow2', '--project', 'small'), /larger than the 1073741824 allowed/);
    for (const { id, name, state } of await cloud().kvasir<readonly Image[]>('image', 'list')) {
      if (!name.startsWith('bad')) continue;
      assert.equal(state, 'failed', name);
      assert.deepEqual(await filesOf(id), [], name);
    }
  });

  it('an upload that is cut off goes on with the same command, and what arrives is what was sent', async () => {
    const big = join(cloud().directory, 'big.raw');
    copyFileSync(raw, big);
    truncateSync(big, 192 * 2 ** 20);
    const { argv, env } = cloud().cloud.commandLine(['image', 'upload', big, '--name', 'big', '--pool', 'shared']);
    const first = spawn(argv[0] ?? '', argv.slice(1), { env, stdio: 'ignore' });
    const ended = new Promise((resolve) => first.once('exit', resolve));
    const folder = join(cloud().directory, 'kvasir', 'uploads');
    type Known = { readonly uploadPath?: string; readonly imageId?: string };
    const known = await until('the announcement', 30_000, () => {
      try {
        const [file = ''] = readdirSync(folder).filter((name) => name.endsWith('.json'));
        const state = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Known;
        return state.uploadPath === undefined ? undefined : state;
      } catch {
        return undefined;
      }
    });
    const arrived = async (): Promise<number> => {
      const headers = { ...cloud().client.credentials(), 'tus-resumable': '1.0.0' };
      const answer = await fetch(cloud().client.address(known.uploadPath ?? ''), { method: 'HEAD', headers });
      return Number(answer.headers.get('upload-offset'));
    };
    while ((await arrived()) === 0) assert.equal(first.exitCode, null, 'the first upload ended by itself');
    first.kill('SIGKILL');
    await ended;
    const offset = await arrived();
    assert.ok(offset > 0 && offset < 192 * 2 ** 20, `${offset} bytes arrived`);
    assert.equal((await imageNamed('big')).state, 'uploading');

    await cloud().kvasir('image', 'upload', big, '--name', 'big', '--pool', 'shared', '--wait');
    const image = await imageNamed('big');
    assert.deepEqual([image.id, image.state, image.sha256], [known.imageId, 'ready', sha256(big)]);
    await cloud().kvasir('image', 'delete', 'big', '--wait');
  });

  it('an upload whose checksum is another one is refused and leaves no copy', async () => {
    const content = readFileSync(cloud().imagePath);
    const { image, uploadPath } = await cloud().client.call(imageOperations.upload, {
      body: { name: 'forged', pool: 'shared', sizeBytes: content.length, sha256: '0'.repeat(64) },
    });
    const answer = await fetch(cloud().client.address(uploadPath), {
      method: 'PATCH',
      headers: {
        ...cloud().client.credentials(),
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
      },
      body: content,
    });
    assert.equal(answer.status, 204);
    await until('the refusal', 30_000, async () => (await imageNamed('forged')).state === 'failed');
    const events = await cloud().eventsOf(image.id);
    assert.ok(
      events.some(({ message }) => /checksum|SHA-256/i.test(message)),
      JSON.stringify(events),
    );
    assert.deepEqual(await filesOf(image.id), []);
  });
});
