/** Makes disks for tests with the distribution's own tool. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../program.ts';

/** The bytes of an empty qcow2 image; `options` as in `qemu-img create -o`. */
export async function qcow2Bytes(sizeBytes: number, options: readonly string[] = []): Promise<Buffer> {
  return withDirectory(async (directory) => {
    const path = join(directory, 'image');
    const settings = options.flatMap((option) => ['-o', option]);
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', ...settings, path, String(sizeBytes)]);
    return readFile(path);
  });
}

export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'kvasir-volumes-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
