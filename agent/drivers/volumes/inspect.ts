/**
 * Decides whether a file may become an image. The file is untrusted: its format is told by its first bytes and never by
 * guessing of another program, what is dangerous (backing file, data file, encryption) is found in the header before
 * anything else reads it, and only then `qemu-img` looks at it, in a child process with limits on memory, processor time,
 * written bytes and duration.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { ProgramError, type RunProgram, runProgram } from '../program.ts';
import type { DiskFormat } from '../storage.ts';
import { withFile } from './files.ts';
import {
  extension,
  headerBytes,
  incompatible,
  NotQcow2Error,
  qcow2Magic,
  type Qcow2Header,
  readQcow2Header,
} from './qcow2-header.ts';

export interface Inspected {
  readonly format: DiskFormat;
  readonly virtualSizeBytes: number;
}

export interface InspectOptions {
  readonly maxVirtualSizeBytes: number | null;
  readonly run?: RunProgram;
}

/** Formats that other virtual machines use, and containers that need unpacking: `[name, offset, bytes]`. */
const otherFormats: readonly (readonly [string, number, string | readonly number[]])[] = [
  ['a VMDK disk', 0, 'KDMV'],
  ['a VMDK disk', 0, 'COWD'],
  ['a VMDK description', 0, '# Disk DescriptorFile'],
  ['a VDI disk', 64, [0x7f, 0x10, 0xda, 0xbe]],
  ['a VHDX disk', 0, 'vhdxfile'],
  ['a VHD disk', 0, 'conectix'],
  ['a QED disk', 0, 'QED\0'],
  ['a Parallels disk', 0, 'WithoutFreeSpace'],
  ['a Parallels disk', 0, 'WithouFreSpacExt'],
  ['a Bochs disk', 0, 'Bochs Virtual HD Image'],
  ['an encrypted (LUKS) disk', 0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]],
  ['compressed (gzip); decompress it first', 0, [0x1f, 0x8b]],
  ['compressed (xz); decompress it first', 0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['compressed (zstd); decompress it first', 0, [0x28, 0xb5, 0x2f, 0xfd]],
  ['compressed (bzip2); decompress it first', 0, 'BZh'],
  ['a ZIP archive', 0, [0x50, 0x4b, 0x03, 0x04]],
  ['a 7z archive', 0, [0x37, 0x7a, 0xbc, 0xaf]],
  ['a tar archive (an OVA?)', 257, 'ustar'],
  ['a program', 0, [0x7f, 0x45, 0x4c, 0x46]],
];
const sectorBytes = 512;

/** Errors: `bad-image` with the reason. */
export async function inspectImage(path: string, options: InspectOptions): Promise<Inspected> {
  const { start, end, sizeBytes } = await readEnds(path);
  const isQcow2 = start.length >= 4 && start.readUInt32BE(0) === qcow2Magic;
  const found: Inspected = isQcow2
    ? { format: 'qcow2', virtualSizeBytes: checkQcow2(start, sizeBytes).virtualSizeBytes }
    : { format: 'raw', virtualSizeBytes: checkRaw(start, end, sizeBytes) };
  const limit = options.maxVirtualSizeBytes;
  if (limit !== null && found.virtualSizeBytes > limit) {
    throw bad(`its virtual size of ${found.virtualSizeBytes} bytes is larger than the ${limit} allowed`);
  }
  if (found.virtualSizeBytes === 0) throw bad('it is empty');
  if (found.format === 'qcow2') await askQemu(path, found, options.run ?? runProgram);
  return found;
}

function checkQcow2(start: Buffer, sizeBytes: number): Qcow2Header {
  let header: Qcow2Header;
  try {
    header = readQcow2Header(start);
  } catch (error) {
    if (error instanceof NotQcow2Error) throw bad(error.message);
    throw error;
  }
  const features = header.incompatibleFeatures;
  if (header.backingFile !== null) throw bad('it has a backing file');
  if ((features & incompatible.externalData) !== 0n || header.extensions.includes(extension.dataFile)) {
    throw bad('its data lies in another file');
  }
  if (header.encrypted || header.extensions.includes(extension.cryptoHeader)) throw bad('it is encrypted');
  if (header.snapshots > 0) throw bad('it has snapshots inside');
  if ((features & (incompatible.corrupt | incompatible.dirty)) !== 0n) throw bad('it was not closed cleanly');
  if ((features & ~(incompatible.compressionType | incompatible.extendedL2)) !== 0n) {
    throw bad('it uses features that are not known');
  }
  if (header.clusterBits < 9 || header.clusterBits > 21) throw bad('its cluster size is impossible');
  if (header.l1Offset + header.l1Entries * 8 > sizeBytes) throw bad('it is cut off');
  const entryBytes = (features & incompatible.extendedL2) === 0n ? 8 : 16;
  const bytesPerTable = (2 ** header.clusterBits / entryBytes) * 2 ** header.clusterBits;
  if (header.l1Entries * bytesPerTable < header.virtualSizeBytes) throw bad('its tables are too small for its size');
  return header;
}

/** Anything may be a raw disk, so this is what surely is none. */
function checkRaw(start: Buffer, end: Buffer, sizeBytes: number): number {
  for (const [name, offset, magic] of otherFormats) {
    const bytes = typeof magic === 'string' ? Buffer.from(magic, 'latin1') : Buffer.from(magic);
    if (start.subarray(offset, offset + bytes.length).equals(bytes))
      throw bad(`it is ${name}; qcow2 and raw are taken`);
  }
  if (end.subarray(-sectorBytes).subarray(0, 8).toString('latin1') === 'conectix') {
    throw bad('it is a VHD disk; qcow2 and raw are taken');
  }
  if (sizeBytes % sectorBytes !== 0) throw bad('it is no disk image: its size is not a multiple of 512 bytes');
  const head = start.subarray(0, sectorBytes);
  if (head.length > 0 && head.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127))) {
    throw bad('it is no disk image but a text');
  }
  return sizeBytes;
}

interface QemuInfo {
  readonly format?: string;
  readonly 'virtual-size'?: number;
  readonly 'backing-filename'?: string;
  readonly encrypted?: boolean;
  readonly snapshots?: readonly unknown[];
  readonly 'format-specific'?: { readonly data?: { readonly 'data-file'?: string; readonly corrupt?: boolean } };
}

const limits = ['--as=2147483648', '--cpu=10', '--fsize=0', '--nofile=64', '--core=0'];

/** A second opinion by the program that will use the image, with nothing in its environment. */
async function askQemu(path: string, found: Inspected, run: RunProgram): Promise<void> {
  const args = [...limits, '--', 'qemu-img', 'info', '--output=json', '-f', found.format, path];
  let info: QemuInfo;
  try {
    const { stdout } = await run('prlimit', args, { timeoutMs: 30_000, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } });
    info = JSON.parse(stdout) as QemuInfo;
  } catch (error) {
    if (error instanceof ProgramError) throw bad(`qemu-img: ${error.stderr.trim().split('\n').at(-1) ?? ''}`);
    throw error;
  }
  const data = info['format-specific']?.data;
  if (info['backing-filename'] !== undefined) throw bad('it has a backing file');
  if (data?.['data-file'] !== undefined) throw bad('its data lies in another file');
  if (info.encrypted === true) throw bad('it is encrypted');
  if (data?.corrupt === true) throw bad('it is marked as corrupt');
  if ((info.snapshots ?? []).length > 0) throw bad('it has snapshots inside');
  if (info.format !== found.format || info['virtual-size'] !== found.virtualSizeBytes) {
    throw bad('its header contradicts itself');
  }
}

async function readEnds(path: string): Promise<{ start: Buffer; end: Buffer; sizeBytes: number }> {
  return withFile(path, 'r', async (file) => {
    const { size } = await file.stat();
    const start = Buffer.alloc(Math.min(size, headerBytes));
    await file.read(start, 0, start.length, 0);
    const end = Buffer.alloc(Math.min(size, sectorBytes));
    await file.read(end, 0, end.length, size - end.length);
    return { start, end, sizeBytes: size };
  });
}

function bad(reason: string): KvasirError {
  return new KvasirError('bad-image', { reason });
}
