/**
 * `kvasir image upload FILE --name NAME --pool POOL`: announces the image, then sends the file by the tus protocol.
 * Cut off at any point and called again, it goes on from the byte that the manager has.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '@kvasir/api/client.ts';
import { type Image, imageOperations } from '@kvasir/api/resources/image.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import type { Command } from 'commander';
import { connect, type GlobalFlags } from '../connection.ts';
import { fieldsOf, type OperationFields } from '../fields.ts';
import { addFields, addGlobalOptions, buildRequest } from '../option-set.ts';
import { printItem } from '../output.ts';
import { groupOf } from '../own-commands.ts';
import { progressBar } from '../progress-bar.ts';
import { secretReader } from '../secret.ts';
import { readAll, type Surroundings } from '../surroundings.ts';
import { type UploadStateFile, uploadStateFile } from '../upload-state.ts';
import { UsageError } from '../usage-error.ts';
import { isPassing } from '../wait-for-task.ts';

interface UploadFlags extends GlobalFlags {
  readonly checksum: boolean;
  readonly wait?: boolean;
}

interface Announcement {
  readonly uploadPath: string;
  readonly imageId: string;
}

export function addImageUpload(program: Command, around: Surroundings): void {
  const command = groupOf(program, 'image')
    .command('upload')
    .description('Upload an image; the same command goes on with an upload that was cut off')
    .argument('<file>', 'qcow2 or raw file');
  const fields = uploadFields();
  addFields(command, fields);
  command.option('--no-checksum', 'do not compute a SHA-256 for the manager to check');
  command.option('--wait', 'wait until the image is ready to use');
  addGlobalOptions(command, true);
  command.action(async (file: string) => {
    const flags: UploadFlags = command.optsWithGlobals();
    const { body } = await buildRequest(fields, [], command.opts(), {
      readStdin: () => readAll(around.stdin),
      readSecret: secretReader(around),
    });
    const path = resolve(file);
    const facts = await stat(path).catch(() => undefined);
    if (!facts?.isFile()) throw new UsageError(`${file} is not a file that can be read`);
    if (facts.size === 0) throw new UsageError(`${file} is empty`);
    const { client, project } = await connect(flags, around);
    const identity = [
      client.baseUrl,
      project,
      body.name as string,
      body.pool as string,
      path,
      facts.size,
      facts.mtimeMs,
    ];
    const state = uploadStateFile(identity, around.env);

    const announce = async (): Promise<Announcement> => {
      const known = await state.read();
      if (known?.uploadPath && known.imageId) return { uploadPath: known.uploadPath, imageId: known.imageId };
      const idempotencyKey = known?.idempotencyKey ?? randomUUID();
      await state.write({ idempotencyKey });
      const sha256 = flags.checksum ? await digest(path, around) : undefined;
      const answer = await client.call(imageOperations.upload, {
        query: { project },
        body: { ...body, sizeBytes: facts.size, sha256 } as never,
        idempotencyKey,
        signal: around.interrupted,
      });
      await state.write({ idempotencyKey, uploadPath: answer.uploadPath, imageId: answer.image.id });
      return { uploadPath: answer.uploadPath, imageId: answer.image.id };
    };

    const imageId = await transfer(client, announce, state, path, around);
    const image = await settledImage(client, imageId, project, flags.wait === true, around);
    if (image.state === 'failed') throw new Error(await whyFailed(client, image, project));
    await printItem(image, flags, around);
  });
}

/** Sends the file; an upload that the manager forgot is announced once more. */
async function transfer(
  client: Client,
  announce: () => Promise<Announcement>,
  state: UploadStateFile,
  path: string,
  around: Surroundings,
): Promise<string> {
  const { sendFile, UploadGoneError } = await import('../tus-upload.ts');
  const display = progressBar(around);
  try {
    for (let attempt = 1; ; attempt += 1) {
      const { uploadPath, imageId } = await announce();
      try {
        await sendFile({
          url: client.address(uploadPath),
          headers: client.credentials(),
          path,
          onProgress: (sent, total) => display.show('uploading', Math.floor((sent / total) * 100)),
          signal: around.interrupted,
        });
        await state.remove();
        return imageId;
      } catch (error) {
        if (!(error instanceof UploadGoneError) || attempt > 1) throw error;
        await state.remove();
      }
    }
  } catch (error) {
    display.end();
    if (around.interrupted.aborted) around.stderr.write('run the same command again to go on with the upload\n');
    throw error;
  } finally {
    display.end();
  }
}

/** The image as it is now, or with `wait` when it is ready or refused. A manager that restarts meanwhile is waited for. */
async function settledImage(
  client: Client,
  image: string,
  project: string | undefined,
  wait: boolean,
  around: Surroundings,
): Promise<Image> {
  const display = progressBar(around);
  const request = { params: { image }, query: { project }, signal: around.interrupted };
  try {
    for (;;) {
      try {
        const now = await client.call(imageOperations.get, request);
        if (!wait || (now.state !== 'uploading' && now.state !== 'importing')) return now;
        display.show(
          `image ${now.name}: sent; the manager is ${now.state === 'importing' ? 'importing' : 'about to import'} it`,
          undefined,
        );
      } catch (error) {
        if (!wait || !isPassing(error)) throw error;
        display.show('the manager does not answer; asking again', undefined);
      }
      await pause(250, undefined, { signal: around.interrupted });
    }
  } finally {
    display.end();
  }
}

/** The reason is kept by the task that imported it. */
async function whyFailed(client: Client, image: Image, project: string | undefined): Promise<string> {
  const query = { project, target: image.id, sort: '-createdAt', limit: 1 };
  const [last] = (await client.call(taskOperations.list, { query })).items;
  const reason = last?.error?.message ?? 'The image could not be imported';
  return `${reason}; what is left of it goes with: kvasir image delete ${image.name}`;
}

/** The fields of `image.upload` that a person gives; size and checksum come from the file. */
function uploadFields(): OperationFields {
  const { options } = fieldsOf(imageOperations.upload);
  return { positional: [], options: options.filter((field) => field.flag !== 'size-bytes' && field.flag !== 'sha256') };
}

async function digest(path: string, around: Surroundings): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash, { signal: around.interrupted });
  return hash.digest('hex');
}
