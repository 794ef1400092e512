import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { runProgram } from '../program.ts';
import { inspectImage } from './inspect.ts';
import { qcow2Bytes, withDirectory } from './testing.ts';

const mib = 1024 * 1024;

async function inspect(content: Buffer, maxVirtualSizeBytes: number | null = null) {
  return withDirectory(async (directory) => {
    const path = join(directory, 'image');
    await writeFile(path, content);
    return inspectImage(path, { maxVirtualSizeBytes });
  });
}

/** Runs `qemu-img` in a folder of its own and inspects the file `image` that it leaves. */
async function inspectMade(...commands: readonly (readonly string[])[]) {
  return withDirectory(async (directory) => {
    for (const command of commands) {
      await runProgram(
        'qemu-img',
        command.map((word) => word.replace('@', `${directory}/`)),
      );
    }
    return inspectImage(join(directory, 'image'), { maxVirtualSizeBytes: null });
  });
}

const refused = (reason: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, 'bad-image');
  assert.match((error as Error).message, reason);
  return true;
};

describe('inspection of an image', () => {
  it('takes qcow2 of both versions and raw', async () => {
    for (const options of [[], ['compat=0.10'], ['cluster_size=2M'], ['extended_l2=on'], ['compression_type=zstd']]) {
      const found = await inspect(await qcow2Bytes(100 * mib, options));
      assert.deepEqual(found, { format: 'qcow2', virtualSizeBytes: 100 * mib });
    }
    assert.deepEqual(await inspect(Buffer.alloc(2 * mib)), { format: 'raw', virtualSizeBytes: 2 * mib });
  });

  it('refuses what reaches into other files', async () => {
    const base = ['create', '-q', '-f', 'qcow2', '@base', '1M'];
    const overlay = ['create', '-q', '-f', 'qcow2', '-b', '@base', '-F', 'qcow2', '@image'];
    await assert.rejects(inspectMade(base, overlay), refused(/backing file/));
    const outside = ['create', '-q', '-f', 'qcow2', '-u', '-b', '/etc/passwd', '-F', 'raw', '@image', '1M'];
    await assert.rejects(inspectMade(outside), refused(/backing file/));
    const external = ['create', '-q', '-f', 'qcow2', '-o', 'data_file=@data,data_file_raw=on', '@image', '1M'];
    await assert.rejects(inspectMade(external), refused(/another file/));
  });

  it('refuses an external data file of which only one trace is in the header', async () => {
    const bit = await qcow2Bytes(mib);
    bit.writeBigUInt64BE(4n, 72);
    await assert.rejects(inspect(bit), refused(/another file/));
    const name = await qcow2Bytes(mib);
    const extensions = name.readUInt32BE(100);
    name.writeUInt32BE(0x44415441, extensions);
    name.writeUInt32BE(8, extensions + 4);
    await assert.rejects(inspect(name), refused(/another file/));
  });

  it('refuses encryption and inner snapshots', async () => {
    const aes = await qcow2Bytes(mib);
    aes.writeUInt32BE(1, 32);
    await assert.rejects(inspect(aes), refused(/encrypted/));
    const luks = await qcow2Bytes(mib);
    const extensions = luks.readUInt32BE(100);
    luks.writeUInt32BE(0x0537be77, extensions);
    luks.writeUInt32BE(16, extensions + 4);
    await assert.rejects(inspect(luks), refused(/encrypted/));
    const create = ['create', '-q', '-f', 'qcow2', '@image', '1M'];
    await assert.rejects(inspectMade(create, ['snapshot', '-c', 'one', '@image']), refused(/snapshots/));
  });

  it('refuses other formats by their names', async () => {
    const formats: readonly (readonly [string, RegExp])[] = [
      ['vmdk', /VMDK/],
      ['vdi', /VDI/],
      ['vhdx', /VHDX/],
      ['vpc', /VHD/],
      ['qed', /QED/],
    ];
    for (const [format, words] of formats) {
      await assert.rejects(inspectMade(['create', '-q', '-f', format, '@image', '2M']), refused(words));
    }
    await assert.rejects(inspect(gzipSync(Buffer.alloc(mib))), refused(/gzip/));
    const fixedVhd = ['create', '-q', '-f', 'vpc', '-o', 'subformat=fixed', '@image', '2M'];
    await assert.rejects(inspectMade(fixedVhd), refused(/VHD/));
  });

  it('refuses what is no image', async () => {
    await assert.rejects(inspect(Buffer.from('hello')), refused(/no disk image/));
    await assert.rejects(inspect(Buffer.from('root:x:0:0\n'.repeat(512)).subarray(0, 1024)), refused(/text/));
    await assert.rejects(inspect(Buffer.alloc(0)), refused(/empty/));
  });

  it('refuses headers that lie', async () => {
    const change = async (work: (bytes: Buffer) => void) => {
      const bytes = await qcow2Bytes(mib);
      work(bytes);
      return bytes;
    };
    await assert.rejects(inspect(await change((b) => b.writeBigUInt64BE(2n ** 62n, 24))), refused(/impossible/));
    await assert.rejects(inspect(await change((b) => b.writeBigUInt64BE(2n ** 50n, 24))), refused(/too small/));
    await assert.rejects(inspect(await change((b) => b.writeUInt32BE(40, 20))), refused(/cluster size/));
    await assert.rejects(inspect(await change((b) => b.writeUInt32BE(0xffffff, 36))), refused(/cut off/));
    await assert.rejects(inspect(await change((b) => b.writeUInt32BE(9, 4))), refused(/version 9/));
    await assert.rejects(inspect(await change((b) => b.writeBigUInt64BE(1n << 40n, 72))), refused(/not known/));
    await assert.rejects(inspect(await change((b) => b.writeBigUInt64BE(2n, 72))), refused(/not closed cleanly/));
    await assert.rejects(inspect((await qcow2Bytes(mib)).subarray(0, 80)), refused(/cut off/));
  });

  it('refuses a disk above the limit, however small its file', async () => {
    const huge = await qcow2Bytes(1024 * 1024 * mib);
    await assert.rejects(inspect(huge, 10 * mib), refused(/larger/));
  });

  it('what the header gives away is refused before any other program opens the file', async () => {
    const change = async (work: (bytes: Buffer) => void) => {
      const bytes = await qcow2Bytes(mib);
      work(bytes);
      return bytes;
    };
    const files = [
      await change((bytes) => {
        bytes.writeBigUInt64BE(512n, 8);
        bytes.writeUInt32BE(bytes.write('/etc/shadow', 512), 16);
      }),
      await change((bytes) => bytes.writeBigUInt64BE(4n, 72)),
      await change((bytes) => {
        const extensions = bytes.readUInt32BE(100);
        bytes.writeUInt32BE(0x44415441, extensions);
        bytes.writeUInt32BE(8, extensions + 4);
      }),
      await change((bytes) => bytes.writeUInt32BE(1, 32)),
      await change((bytes) => bytes.writeUInt32BE(1, 60)),
      await change((bytes) => bytes.writeBigUInt64BE(2n ** 50n, 24)),
    ];
    for (const content of files) {
      await withDirectory(async (directory) => {
        const path = join(directory, 'image');
        await writeFile(path, content);
        const run = () => Promise.reject(new Error('a program was run'));
        await assert.rejects(inspectImage(path, { maxVirtualSizeBytes: null, run }), { code: 'bad-image' });
      });
    }
  });
});
