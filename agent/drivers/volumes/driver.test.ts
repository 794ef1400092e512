import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { runProgram } from '../program.ts';
import type { ImageImport, LongCall } from '../storage.ts';
import { DirectoryStorageDriver } from './driver.ts';
import { qcow2Bytes, withDirectory } from './testing.ts';

const mib = 1024 * 1024;
const poolId = randomUUID();

interface Bed {
  readonly directory: string;
  readonly path: string;
  readonly driver: DirectoryStorageDriver;
  readonly pool: {
    poolId: string;
    name: string;
    kind: 'directory';
    path: string;
    shared: boolean;
    initialize: boolean;
  };
  make(hostId: string): DirectoryStorageDriver;
}

const call = (progress: LongCall['progress'] = () => undefined): LongCall => ({
  signal: new AbortController().signal,
  progress,
});
const importOf = (source: ImageImport['source']): ImageImport => ({
  imageId: randomUUID(),
  poolId,
  source,
  maxVirtualSizeBytes: null,
  expectedSha256: null,
});
const volume = () => ({ poolId, volumeId: randomUUID(), format: 'qcow2' as const, sizeBytes: 8 * mib, from: null });

async function withBed(work: (bed: Bed) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const make = (hostId: string) =>
      new DirectoryStorageDriver({
        hostId,
        seedDirectory: join(directory, hostId, 'seeds'),
        stateDirectory: join(directory, hostId, 'state'),
      });
    const path = join(directory, 'pool');
    const pool = { poolId, name: 'main', kind: 'directory' as const, path, shared: false, initialize: true };
    const driver = make('h1');
    await driver.applyPools([pool]);
    await work({ directory, path, driver, pool, make });
  });
}

async function takeImage(driver: DirectoryStorageDriver, sizeBytes: number) {
  const content = await qcow2Bytes(sizeBytes);
  const request = importOf({ content: Readable.from([content]), sizeBytes: content.length });
  await driver.importImage(request, call());
  return { imageId: request.imageId, imageFormat: 'qcow2' as const };
}

describe('directory storage driver', () => {
  it('a mount that went missing is noticed: nothing counts as deleted and no new pool is begun', async () => {
    await withBed(async ({ driver, path, pool }) => {
      const kept = volume();
      await driver.createVolume(kept, call());
      await rename(path, `${path}.unmounted`);
      await mkdir(path);
      await assert.rejects(driver.deleteVolume(kept), { code: 'pool-unreachable' });
      await assert.rejects(driver.locate(kept), { code: 'pool-unreachable' });
      const [report] = await driver.applyPools([pool]);
      assert.equal(report?.reachable, false);
      assert.match(report?.reason ?? '', /mounted/);
      assert.deepEqual(await readdir(path), []);
      await rm(path, { recursive: true });
      await rename(`${path}.unmounted`, path);
      assert.equal((await driver.report())[0]?.reachable, true);
      assert.equal((await driver.locate(kept)).kind, 'file');
    });
  });

  it('only who may initialize makes a pool, and only of an empty directory', async () => {
    await withBed(async ({ directory, make, pool }) => {
      const path = join(directory, 'shared');
      await mkdir(path);
      const shared = { ...pool, poolId: randomUUID(), path, shared: true };
      const [second] = await make('h2').applyPools([{ ...shared, initialize: false }]);
      assert.equal(second?.reachable, false);
      await writeFile(join(path, 'letters.txt'), '');
      const [full] = await make('h1').applyPools([shared]);
      assert.match(full?.reason ?? '', /not empty.*letters/);
      await rm(join(path, 'letters.txt'));
      assert.equal((await make('h1').applyPools([shared]))[0]?.reachable, true);
      assert.equal((await make('h2').applyPools([{ ...shared, initialize: false }]))[0]?.reachable, true);
      const [missing] = await make('h1').applyPools([{ ...shared, path: join(directory, 'nowhere') }]);
      assert.match(missing?.reason ?? '', /no such file|does not exist/i);
    });
  });

  it('links and devices in import/ are not followed', async () => {
    await withBed(async ({ driver, path, directory }) => {
      await writeFile(join(directory, 'secret'), Buffer.alloc(4096));
      await symlink(join(directory, 'secret'), join(path, 'import', 'link'));
      await mkdir(join(path, 'import', 'folder'));
      await runProgram('mkfifo', [join(path, 'import', 'pipe')]);
      for (const file of ['link', 'folder', 'pipe']) {
        await assert.rejects(driver.importImage(importOf({ file }), call()), { code: 'bad-image' });
      }
      for (const file of ['/etc/passwd', '..', '.hidden', 'a/b', '', 'a\0b']) {
        await assert.rejects(driver.importImage(importOf({ file }), call()), { code: 'invalid-request' });
      }
    });
  });

  it('an image is read-only, and sparse where it was empty', async () => {
    await withBed(async ({ driver, path }) => {
      const request = importOf({ content: Readable.from([Buffer.alloc(8 * mib)]), sizeBytes: 8 * mib });
      const told: number[] = [];
      await driver.importImage(
        request,
        call(({ percent }) => told.push(percent)),
      );
      assert.equal(told.at(-1), 100);
      const found = await stat(join(path, 'images', `${request.imageId}.raw`));
      assert.equal(found.mode % 0o1000, 0o444);
      assert.equal(found.size, 8 * mib);
      assert.equal(found.blocks, 0);
    });
  });

  it('a linked clone stays whole when another host mounts the pool elsewhere', async () => {
    await withBed(async ({ driver, directory, path }) => {
      const image = await takeImage(driver, 4 * mib);
      const clone = { ...volume(), from: { ...image, mode: 'linked' as const } };
      await driver.createVolume(clone, call());
      await rename(path, join(directory, 'elsewhere'));
      const moved = join(directory, 'elsewhere', 'volumes', `${clone.volumeId}.qcow2`);
      const { stdout } = await runProgram('qemu-img', ['info', '--backing-chain', '--output=json', moved]);
      const chain = JSON.parse(stdout) as { 'backing-filename'?: string; 'backing-filename-format'?: string }[];
      assert.equal(chain.length, 2);
      assert.equal(chain[0]?.['backing-filename'], `../images/${image.imageId}.qcow2`);
      assert.equal(chain[0]?.['backing-filename-format'], 'qcow2');
    });
  });

  it('a full copy has the content of its image, needs no image afterwards and tells its progress', async () => {
    await withBed(async ({ driver }) => {
      const disk = Buffer.alloc(4 * mib);
      disk.write('the content', mib);
      const request = importOf({ content: Readable.from([disk]), sizeBytes: disk.length });
      await driver.importImage(request, call());
      const from = { imageId: request.imageId, imageFormat: 'raw' as const, mode: 'full' as const };
      const copy = { ...volume(), from };
      const told: number[] = [];
      await driver.createVolume(
        copy,
        call(({ percent }) => told.push(percent)),
      );
      assert.equal(told.at(-1), 100);
      await driver.deleteImage({ imageId: request.imageId, poolId, format: 'raw' });
      const { path } = await driver.locate(copy);
      assert.equal((await stat(path)).mode % 0o1000, 0o600);
      await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, `${path}.out`]);
      assert.deepEqual((await readFile(`${path}.out`)).subarray(0, disk.length), disk);
    });
  });

  it('leftovers of this host are removed, those of another host in a shared pool only when they are old', async () => {
    await withBed(async ({ driver, path, pool }) => {
      const file = (name: string) => join(path, 'volumes', name);
      const own = '.tmp-h1-1700000000000-aa';
      const others = '.tmp-h2-1700000000000-aa';
      const old = '.tmp-h2-1600000000000-aa';
      for (const name of [own, others, old]) await writeFile(file(name), '');
      await utimes(file(old), 1, 1);
      await driver.applyPools([{ ...pool, shared: true }]);
      assert.deepEqual(await readdir(join(path, 'volumes')), [others]);
      await driver.applyPools([pool]);
      assert.deepEqual(await readdir(join(path, 'volumes')), []);
    });
  });

  it('two hosts of a shared pool that make the same volume end with one, and the first stays', async () => {
    await withBed(async ({ driver, make, pool }) => {
      const other = make('h2');
      await other.applyPools([{ ...pool, initialize: false }]);
      const request = volume();
      await Promise.all([driver.createVolume(request, call()), other.createVolume(request, call())]);
      const { path } = await driver.locate(request);
      const { ino } = await stat(path);
      await other.createVolume(request, call());
      assert.equal((await stat(path)).ino, ino);
    });
  });

  it('a broken volume can be deleted, whatever its path is called', async () => {
    await withBed(async ({ driver, directory, pool }) => {
      const path = join(directory, 'block-pool');
      const block = randomUUID();
      await driver.applyPools([{ ...pool, path, poolId: block }]);
      const broken = { ...volume(), poolId: block };
      await writeFile(join(path, 'volumes', `${broken.volumeId}.qcow2`), 'no disk');
      await assert.rejects(driver.resizeVolume(broken, 16 * mib), { code: 'host-failed' });
      await driver.deleteVolume(broken);
      assert.deepEqual((await driver.list(block)).volumeIds, []);
    });
  });

  it('a volume stays when it cannot be asked whether a QEMU has it open', async () => {
    await withBed(async ({ driver }) => {
      const request = volume();
      await driver.createVolume(request, call());
      const { PATH } = process.env;
      process.env['PATH'] = '/nowhere';
      try {
        await assert.rejects(driver.deleteVolume(request), { code: 'host-failed' });
      } finally {
        process.env['PATH'] = PATH;
      }
      assert.equal((await driver.locate(request)).kind, 'file');
      await driver.deleteVolume(request);
    });
  });

  it('a volume that a running QEMU has open is neither deleted nor resized', async () => {
    await withBed(async ({ driver }) => {
      const request = volume();
      await driver.createVolume(request, call());
      const { path } = await driver.locate(request);
      const holder = spawn('qemu-io', ['-f', 'qcow2', path], { stdio: ['pipe', 'pipe', 'ignore'] });
      const gone = new Promise((resolve) => holder.once('close', resolve));
      try {
        await new Promise((resolve) => {
          holder.stdout.once('data', resolve);
          holder.stdin.write('read 0 512\n');
        });
        await assert.rejects(driver.deleteVolume(request), { code: 'in-use' });
        await assert.rejects(driver.resizeVolume(request, 16 * mib), { code: 'in-use' });
      } finally {
        holder.kill('SIGKILL');
        await gone;
      }
      await driver.deleteVolume(request);
    });
  });

  it('a full pool is a clear error and leaves nothing behind', async () => {
    await withBed(async ({ driver, directory }) => {
      const poolId = randomUUID();
      const path = join(directory, 'small');
      await mkdir(path);
      await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', path]);
      try {
        await driver.applyPools([{ poolId, name: 'small', kind: 'directory', path, shared: false, initialize: true }]);
        const disk = Buffer.alloc(2 * mib, 1);
        const image = { ...importOf({ content: Readable.from([disk]), sizeBytes: disk.length }), poolId };
        await driver.importImage(image, call());
        const another = { ...importOf({ content: Readable.from([disk]), sizeBytes: disk.length }), poolId };
        await assert.rejects(driver.importImage(another, call()), /pool small is full/);
        const from = { imageId: image.imageId, imageFormat: 'raw' as const, mode: 'full' as const };
        await assert.rejects(driver.createVolume({ ...volume(), poolId, from }, call()), /pool small is full/);
        assert.deepEqual(await readdir(join(path, 'volumes')), []);
        assert.equal((await readdir(join(path, 'images'))).filter((name) => name.startsWith('.tmp-')).length, 0);
      } finally {
        await runProgram('umount', [path]);
      }
    });
  });
});
