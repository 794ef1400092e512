import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hashInputs, removeAbandonedBuilds } from './build.ts';
import { parseStanza } from './debian-packages.ts';
import { GuestBuildError, libraries, moduleFiles } from './initramfs.ts';

describe('guest build', () => {
  it('reads the first stanza of apt-cache show', () => {
    const text =
      'Package: linux-image-cloud-amd64\nSource: linux-signed-amd64 (6.1+1)\nVersion: 6.1.192-2\n' +
      'Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2), kmod | other, x:any\nDescription: a\n b: c\n\nPackage: older\nVersion: 1\n';
    assert.deepEqual(parseStanza(text), {
      name: 'linux-image-cloud-amd64',
      version: '6.1.192-2',
      depends: ['linux-image-6.1.0-56-cloud-amd64', 'kmod', 'x'],
    });
    assert.equal(parseStanza(''), undefined);
  });

  it('keeps the order of modules and leaves out what is built in', () => {
    assert.deepEqual(moduleFiles('insmod /k/virtio_ring.ko \ninsmod /k/virtio.ko a=b\nbuiltin ext4\n'), [
      '/k/virtio_ring.ko',
      '/k/virtio.ko',
    ]);
  });

  it('lists libraries with the loader, and refuses a missing one', () => {
    const text =
      '\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n';
    assert.deepEqual(libraries(text), ['/lib/libc.so.6', '/lib64/ld-linux-x86-64.so.2']);
    assert.throws(() => libraries('\tlibnuma.so.1 => not found\n'), GuestBuildError);
  });

  it('removes what killed builds left in the cache, and nothing else', () => {
    const cache = mkdtempSync(join(tmpdir(), 'kvasir-guest-'));
    try {
      const gone = spawnSync('true').pid;
      const kept = ['0123456789abcdef', `building-${process.pid}-abc`, 'building-x'];
      for (const name of [...kept, `building-${gone}-abc`]) mkdirSync(join(cache, name, 'root'), { recursive: true });
      removeAbandonedBuilds(cache);
      assert.deepEqual(readdirSync(cache).sort(), kept.sort());
    } finally {
      rmSync(cache, { recursive: true });
    }
  });

  it('makes another image for another file or version, not for a test', () => {
    const directory = mkdtempSync(join(tmpdir(), 'kvasir-guest-'));
    try {
      cpSync(join(import.meta.dirname, 'root/lib'), join(directory, 'lib'), { recursive: true });
      const hash = hashInputs(directory);
      writeFileSync(join(directory, 'x.test.ts'), 'test');
      assert.equal(hashInputs(directory), hash);
      writeFileSync(join(directory, 'x.ts'), 'source');
      assert.notEqual(hashInputs(directory), hash);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
