/** What every `StorageDriver` does: run on the simulated host in each test run, and on real directories. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { DiskFormat, ImageImport, LongCall, StorageDriver, VolumeCreate } from './storage.ts';

export interface StorageHarness {
  readonly driver: StorageDriver;
  /** A new driver on the same host, as after a restart of the agent; it serves no pool yet. */
  restart(): Promise<StorageDriver>;
  /** A place for a pool, empty. */
  readonly poolPath: string;
  /** Puts an operator's file into the pool's `import/`. */
  putImport(name: string, content: Buffer): Promise<void>;
  close(): Promise<void>;
}

const mib = 1024 * 1024;

/** `qcow2` makes an empty image with a disk of so many bytes. */
export function storageContract(
  name: string,
  qcow2: (sizeBytes: number) => Promise<Buffer>,
  makeHarness: () => Promise<StorageHarness>,
): void {
  describe(`storage contract: ${name}`, () => {
    let harness: StorageHarness;
    let driver: StorageDriver;
    const poolId = randomUUID();
    const pool = () => ({
      poolId,
      name: 'main',
      kind: 'directory' as const,
      path: harness.poolPath,
      shared: false,
      initialize: true,
    });
    const call = (): LongCall => ({ signal: new AbortController().signal, progress: () => undefined });
    const stream = (content: Buffer) => ({ content: Readable.from([content]), sizeBytes: content.length });
    const importOf = (source: ImageImport['source'], more: Partial<ImageImport> = {}): ImageImport => ({
      imageId: randomUUID(),
      poolId,
      source,
      maxVirtualSizeBytes: null,
      expectedSha256: null,
      ...more,
    });
    const volume = (more: Partial<VolumeCreate> = {}): VolumeCreate => ({
      poolId,
      volumeId: randomUUID(),
      format: 'qcow2',
      sizeBytes: 8 * mib,
      from: null,
      ...more,
    });
    const takeImage = async (sizeBytes: number) => {
      const request = importOf(stream(await qcow2(sizeBytes)));
      await driver.importImage(request, call());
      return { imageId: request.imageId, poolId, format: 'qcow2' as DiskFormat };
    };

    before(async () => {
      harness = await makeHarness();
      driver = harness.driver;
      await driver.applyPools([pool()]);
    });
    after(() => harness.close());

    it('serves exactly the pools it was given', async () => {
      const [report] = await driver.report();
      assert.equal(report?.poolId, poolId);
      assert.equal(report?.reachable, true, report?.reason ?? '');
      assert.equal(report?.reason, null);
      assert.ok((report?.freeMib ?? 0) > 0 && (report?.freeMib ?? 0) <= (report?.totalMib ?? 0));
      assert.deepEqual(await driver.applyPools([]), []);
      assert.deepEqual(await driver.report(), []);
      await assert.rejects(driver.list(poolId), { code: 'not-found' });
      assert.equal((await driver.applyPools([pool()]))[0]?.reachable, true);
    });

    it('a pool path that belongs to another pool is not reachable', async () => {
      const other = { ...pool(), poolId: randomUUID() };
      const reports = await driver.applyPools([pool(), other]);
      assert.equal(reports[0]?.reachable, true);
      assert.equal(reports[1]?.reachable, false);
      assert.ok((reports[1]?.reason ?? '').length > 0);
      await assert.rejects(driver.createVolume(volume({ poolId: other.poolId }), call()), { code: 'pool-unreachable' });
      await driver.applyPools([pool()]);
    });

    it('takes an image from a stream, and answers the same again', async () => {
      const content = await qcow2(16 * mib);
      const request = importOf(stream(content));
      const info = await driver.importImage(request, call());
      assert.equal(info.format, 'qcow2');
      assert.equal(info.virtualSizeBytes, 16 * mib);
      assert.equal(info.sizeBytes, content.length);
      assert.equal(info.sha256, sha256(content));
      assert.deepEqual(await driver.importImage({ ...request, source: stream(content) }, call()), info);
      assert.ok((await driver.list(poolId)).imageIds.includes(request.imageId));

      const opened = await driver.openImage({ imageId: request.imageId, poolId, format: 'qcow2' });
      assert.equal(opened.sizeBytes, content.length);
      await driver.deleteImage({ imageId: request.imageId, poolId, format: 'qcow2' });
      opened.content.destroy();
    });

    it('what was put in as raw comes out byte by byte', async () => {
      const content = Buffer.alloc(3 * mib, 0);
      content.write('a disk', 2 * mib + 17);
      const request = importOf(stream(content), { expectedSha256: sha256(content) });
      const info = await driver.importImage(request, call());
      assert.equal(info.format, 'raw');
      assert.equal(info.virtualSizeBytes, content.length);
      const opened = await driver.openImage({ imageId: request.imageId, poolId, format: 'raw' });
      assert.equal(sha256(Buffer.concat((await opened.content.toArray()) as Buffer[])), sha256(content));
    });

    it('takes an image from the folder import/ by a plain name', async () => {
      await harness.putImport('tiny.qcow2', await qcow2(4 * mib));
      const info = await driver.importImage(importOf({ file: 'tiny.qcow2' }), call());
      assert.equal(info.virtualSizeBytes, 4 * mib);
      await assert.rejects(driver.importImage(importOf({ file: 'missing' }), call()), { code: 'not-found' });
      await assert.rejects(driver.importImage(importOf({ file: '../tiny.qcow2' }), call()), {
        code: 'invalid-request',
      });
    });

    it('refuses an image that is too large, not what was announced, or of another digest; nothing is left', async () => {
      const before = await driver.list(poolId);
      const content = await qcow2(16 * mib);
      const refused = [
        importOf(stream(content), { maxVirtualSizeBytes: 15 * mib }),
        importOf(stream(content), { expectedSha256: 'a'.repeat(64) }),
        importOf({ content: Readable.from([content]), sizeBytes: content.length + 1 }),
        importOf({ content: Readable.from([content]), sizeBytes: content.length - 1 }),
      ];
      for (const request of refused) {
        await assert.rejects(driver.importImage(request, call()), { code: 'bad-image' });
      }
      assert.deepEqual(await driver.list(poolId), before);
    });

    it('a cancelled import leaves nothing', async () => {
      const cancel = new AbortController();
      const endless = new Readable({ read: () => undefined });
      endless.push(Buffer.alloc(1024, 1));
      const request = importOf({ content: endless, sizeBytes: 10 * mib });
      const importing = driver.importImage(request, { signal: cancel.signal, progress: () => undefined });
      cancel.abort();
      await assert.rejects(importing, { code: 'cancelled' });
      assert.ok(!(await driver.list(poolId)).imageIds.includes(request.imageId));
    });

    it('makes an empty volume; again: the same', async () => {
      for (const format of ['qcow2', 'raw'] as const) {
        const request = volume({ format });
        assert.deepEqual(await driver.createVolume(request, call()), { sizeBytes: 8 * mib });
        assert.deepEqual(await driver.createVolume(request, call()), { sizeBytes: 8 * mib });
        const source = await driver.locate(request);
        assert.equal(source.format, format);
        assert.ok(source.path.includes(request.volumeId));
        await driver.deleteVolume(request);
      }
    });

    it('makes linked and full clones, as large as asked and never smaller than the image', async () => {
      const image = await takeImage(16 * mib);
      for (const mode of ['linked', 'full'] as const) {
        const from = { imageId: image.imageId, imageFormat: image.format, mode };
        const grown = volume({ from, sizeBytes: 32 * mib });
        assert.deepEqual(await driver.createVolume(grown, call()), { sizeBytes: 32 * mib });
        const same = volume({ from, sizeBytes: 16 * mib });
        assert.deepEqual(await driver.createVolume(same, call()), { sizeBytes: 16 * mib });
        const small = volume({ from, sizeBytes: 8 * mib });
        await assert.rejects(driver.createVolume(small, call()), { code: 'invalid-request' });
        await assert.rejects(driver.locate(small), { code: 'not-found' });
        if (mode === 'linked') await assert.rejects(driver.deleteImage(image), { code: 'in-use' });
        await driver.deleteVolume(grown);
        await driver.deleteVolume(same);
      }
      await driver.deleteImage(image);
      await driver.deleteImage(image);
      assert.ok(!(await driver.list(poolId)).imageIds.includes(image.imageId));
    });

    it('refuses a linked clone that is raw, and a clone of an image that is not there', async () => {
      const image = await takeImage(4 * mib);
      const from = { imageId: image.imageId, imageFormat: image.format, mode: 'linked' as const };
      await assert.rejects(driver.createVolume(volume({ format: 'raw', from }), call()), { code: 'unsupported' });
      const missing = { ...from, imageId: randomUUID() };
      await assert.rejects(driver.createVolume(volume({ from: missing }), call()), { code: 'not-found' });
      const full = volume({ format: 'raw', from: { ...from, mode: 'full' } });
      assert.deepEqual(await driver.createVolume(full, call()), { sizeBytes: 8 * mib });
      assert.equal((await driver.locate(full)).format, 'raw');
    });

    it('grows a volume, repeatedly to the same size, and never shrinks it', async () => {
      const request = volume();
      await driver.createVolume(request, call());
      assert.deepEqual(await driver.resizeVolume(request, 16 * mib), { sizeBytes: 16 * mib });
      assert.deepEqual(await driver.resizeVolume(request, 16 * mib), { sizeBytes: 16 * mib });
      await assert.rejects(driver.resizeVolume(request, 8 * mib), { code: 'invalid-request' });
      assert.deepEqual(await driver.createVolume(request, call()), { sizeBytes: 16 * mib });
      await assert.rejects(driver.resizeVolume(volume(), 8 * mib), { code: 'not-found' });
    });

    it('deletes a volume once and for all', async () => {
      const request = volume();
      await driver.createVolume(request, call());
      await driver.deleteVolume(request);
      await driver.deleteVolume(request);
      await assert.rejects(driver.locate(request), { code: 'not-found' });
      assert.ok(!(await driver.list(poolId)).volumeIds.includes(request.volumeId));
    });

    it('the same volume asked for twice at once is made once', async () => {
      const request = volume();
      const answers = await Promise.all([driver.createVolume(request, call()), driver.createVolume(request, call())]);
      assert.deepEqual(answers, [{ sizeBytes: 8 * mib }, { sizeBytes: 8 * mib }]);
      const { volumeIds } = await driver.list(poolId);
      assert.equal(volumeIds.filter((id) => id === request.volumeId).length, 1);
    });

    it('the seed of a VM stays the same file until its content changes, and goes away', async () => {
      const vmId = randomUUID();
      const seed = { instanceId: 'i-1', hostname: 'web', userData: '#cloud-config\nruncmd: [id]\n' };
      const first = await driver.writeSeed(vmId, 'web', seed);
      assert.equal(first.format, 'raw');
      assert.deepEqual(await driver.writeSeed(vmId, 'web', seed), first);
      assert.deepEqual(await driver.writeSeed(vmId, 'web', { ...seed, instanceId: 'i-2' }), first);
      await driver.removeSeed(vmId);
      await driver.removeSeed(vmId);
    });

    it('a restarted agent finds everything once it has its pools', async () => {
      const request = volume();
      await driver.createVolume(request, call());
      const before = await driver.list(poolId);
      driver = await harness.restart();
      await assert.rejects(driver.list(poolId), { code: 'not-found' });
      await driver.applyPools([pool()]);
      assert.deepEqual(await driver.list(poolId), before);
      assert.ok((await driver.locate(request)).path.length > 0);
    });
  });
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
