/**
 * A disk that a BIOS boots, made without mounting anything: a FAT partition with syslinux, kernel and initramfs, and an
 * ext4 partition for the guest's data.
 */
import { copyFileSync, writeFileSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../command.ts';

const sectorBytes = 512;
const boot = { start: 2048, sectors: 53_248 };
const data = { start: boot.start + boot.sectors, sectors: 64 * 2048 - boot.start - boot.sectors };
const masterBootRecord = '/usr/lib/syslinux/mbr/mbr.bin';

/** Without these a boot under software emulation takes a second or two longer. */
const kernelOptions =
  'quiet tsc=reliable lpj=1000000 no_timer_check nokaslr mitigations=off cryptomgr.notests audit=0 apparmor=0 nopti ' +
  'random.trust_cpu=on 8250.nr_uarts=1';

const syslinuxConfig = [
  'DEFAULT tiny',
  'PROMPT 0',
  'TIMEOUT 0',
  'LABEL tiny',
  ' KERNEL vmlinuz',
  ' INITRD initrd.lz4',
  ` APPEND console=tty0 console=ttyS0 ${kernelOptions}`,
  '',
].join('\n');

async function emptyFile(path: string, bytes: number): Promise<void> {
  await writeFile(path, '');
  await truncate(path, bytes);
}

async function place(image: string, part: string, atSector: number): Promise<void> {
  await run([
    'dd',
    `if=${part}`,
    `of=${image}`,
    'bs=1M',
    `seek=${atSector * sectorBytes}`,
    'oflag=seek_bytes',
    'conv=notrunc,sparse',
    'status=none',
  ]);
}

/** Writes the image to `target` (qcow2). */
export async function buildDiskImage(work: string, kernel: string, initramfs: string, target: string): Promise<void> {
  const fat = join(work, 'fat.img');
  const ext4 = join(work, 'ext4.img');
  const disk = join(work, 'disk.img');
  copyFileSync(kernel, join(work, 'vmlinuz'));
  copyFileSync(initramfs, join(work, 'initrd.lz4'));
  writeFileSync(join(work, 'syslinux.cfg'), syslinuxConfig);
  await emptyFile(fat, boot.sectors * sectorBytes);
  await run(['mkfs.vfat', '-F', '16', '-n', 'BOOT', fat]);
  for (const name of ['vmlinuz', 'initrd.lz4', 'syslinux.cfg'])
    await run(['mcopy', '-i', fat, join(work, name), `::${name}`]);
  await run(['syslinux', '--install', fat]);
  await emptyFile(ext4, data.sectors * sectorBytes);
  await run(['mkfs.ext4', '-q', '-L', 'data', ext4]);
  await emptyFile(disk, (data.start + data.sectors) * sectorBytes);
  const table = [
    'label: dos',
    `start=${boot.start},size=${boot.sectors},type=e,bootable`,
    `start=${data.start},size=${data.sectors},type=83`,
    '',
  ].join('\n');
  await run(['sfdisk', '-q', disk], { input: table });
  await run(['dd', `if=${masterBootRecord}`, `of=${disk}`, 'bs=440', 'count=1', 'conv=notrunc', 'status=none']);
  await place(disk, fat, boot.start);
  await place(disk, ext4, data.start);
  await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', disk, target]);
}
