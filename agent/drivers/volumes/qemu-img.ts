/** `qemu-img` on files of our own: the format is always given, never guessed. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { ProgramError, runProgram } from '../program.ts';
import type { DiskFormat, LongCall } from '../storage.ts';

/** Not just any lock: the file's own path stands in its errors, too. */
const lockedWords = /Failed to get (shared )?"[\w ]+" lock|Is another process using the image/;

/** Makes an empty disk, or an overlay on `backing` (a path as it will stand in the file: relative to it). */
export async function createDisk(
  path: string,
  format: DiskFormat,
  sizeBytes: number,
  backing: { readonly path: string; readonly format: DiskFormat } | null,
): Promise<void> {
  const base = backing === null ? [] : ['-b', backing.path, '-F', backing.format];
  await qemuImg(['create', '-q', '-f', format, ...base, path, String(sizeBytes)]);
}

/** Copies a disk's content; zeros become holes. */
export async function convertDisk(
  from: { readonly path: string; readonly format: DiskFormat },
  to: { readonly path: string; readonly format: DiskFormat },
  sizeBytes: number,
  call: LongCall,
): Promise<void> {
  let told = -1;
  await qemuImg(['convert', '-p', '-f', from.format, '-O', to.format, from.path, to.path], {
    signal: call.signal,
    timeoutMs: 0,
    onOutput: (text) => {
      const last = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1)?.[1];
      const percent = Math.floor(Number(last ?? told));
      if (percent <= told) return;
      told = percent;
      call.progress({ percent, bytesDone: Math.floor((sizeBytes * percent) / 100), bytesTotal: sizeBytes });
    },
  });
}

export async function resizeDisk(path: string, format: DiskFormat, sizeBytes: number): Promise<void> {
  await qemuImg(['resize', '-q', '-f', format, path, String(sizeBytes)]);
}

/** Size of the disk in a file. Errors: `in-use` while a running VM has it open for writing (QEMU's image lock). */
export async function diskSize(path: string, format: DiskFormat): Promise<number> {
  const { stdout } = await qemuImg(['info', '--output=json', '-f', format, path]);
  const size = (JSON.parse(stdout) as { readonly 'virtual-size'?: number })['virtual-size'];
  if (size === undefined) throw new KvasirError('host-failed', { reason: `qemu-img tells no size of ${path}` });
  return size;
}

async function qemuImg(args: readonly string[], options: Parameters<typeof runProgram>[2] = {}) {
  try {
    return await runProgram('qemu-img', args, options);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    if (lockedWords.test(error.stderr)) {
      throw new KvasirError('in-use', { kind: 'disk', name: args.at(-1) ?? '', by: 'a running VM' });
    }
    throw error;
  }
}
