/** What the agent of an installed host makes, QEMU can open: as the user that libvirt runs it as, with the files given to that user. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { DirectoryStorageDriver } from './driver.ts';
import { makePassable } from './passable.ts';
import { qcow2Bytes, withDirectory } from './testing.ts';

/** Debian's number for libvirt-qemu. */
const user = '64055';
const [poolId, imageId, volumeId] = ['7d5c0d2e-0000-4000-8000-000000000001', 'image-1', 'volume-1'];
const call = { signal: new AbortController().signal, progress: () => {} };

async function withUmaskOfTheUnit(work: () => Promise<void>): Promise<void> {
  const unit = readFileSync(join(import.meta.dirname, '../../../deploy/kvasir-agent.service'), 'utf8');
  const before = process.umask(parseInt(/^UMask=([0-7]+)$/m.exec(unit)?.[1] ?? '', 8));
  try {
    await work();
  } finally {
    process.umask(before);
  }
}

/** As the other user: throws unless it can read the file once it owns it, as libvirt sees to. */
function readAsQemu(path: string): void {
  execFileSync('chown', [user, path]);
  execFileSync('setpriv', ['--reuid', user, '--regid', user, '--clear-groups', 'head', '-c', '4', path]);
}

it('QEMU gets to volumes, their images and seeds', async () => {
  await withDirectory((directory) =>
    withUmaskOfTheUnit(async () => {
      chmodSync(directory, 0o755);
      const state = join(directory, 'state');
      mkdirSync(state, { mode: 0o700 });
      const seedDirectory = join(state, 'seeds');
      const storage = new DirectoryStorageDriver({ hostId: 'h1', seedDirectory, stateDirectory: state });
      const path = join(directory, 'srv', 'local');
      const pool = { poolId, name: 'local', kind: 'directory', path, shared: false, initialize: true } as const;
      await storage.applyPools([pool]);
      writeFileSync(join(path, 'import/image.qcow2'), await qcow2Bytes(1024 * 1024));
      const source = { file: 'image.qcow2' };
      await storage.importImage({ imageId, poolId, source, maxVirtualSizeBytes: null, expectedSha256: null }, call);
      const from = { imageId, imageFormat: 'qcow2', mode: 'linked' } as const;
      const volume = { poolId, volumeId, format: 'qcow2' } as const;
      await storage.createVolume({ ...volume, sizeBytes: 1024 * 1024, from }, call);
      await makePassable(state);
      readAsQemu((await storage.locate(volume)).path);
      readAsQemu(join(path, 'images', `${imageId}.qcow2`));
      readAsQemu((await storage.writeSeed('vm', 'web', { instanceId: 'i-1' })).path);
    }),
  );
});

it('directories that an earlier agent closed are opened, and nobody sees what is in them', async () => {
  await withDirectory(async (directory) => {
    for (const [mode, then] of [
      [0o700, 0o711],
      [0o750, 0o751],
      [0o755, 0o755],
    ] as const) {
      chmodSync(directory, mode);
      await makePassable(directory);
      assert.equal(statSync(directory).mode & 0o777, then);
    }
  });
});
