/**
 * The step `image`: an image has to lie in the pool, and in a local one on the host, where volumes are made from it. It is
 * copied from a place that holds it, through the manager, from agent to agent.
 *
 * The row of the copy is written before the file, so no file is ever unknown; it is `ready` once the file is whole and its
 * checksum is the image's. Of two tasks that want the same copy one waits and finds it there; should two managers copy
 * at once, the agent's lock and its repeatable import do the same. A copy stays when the task is undone: it is a cache.
 */
import type { Readable } from 'node:stream';
import { imageImport } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Store } from '../store/database.ts';
import { type ImageCopyRow, imageCopies, type ImageRow, images } from '../store/images.ts';
import { pools } from '../store/pools.ts';
import { volumes } from '../store/volumes.ts';
import { unlessItDies } from './death-watch.ts';
import type { StepContext } from './kind.ts';
import { proofFor } from './proven-dead.ts';
import { whileSending } from './stream-content.ts';
import { imageSource } from './working-host.ts';

/** No byte came for so long. */
export const stalledAfterMs = 30_000;

type Place = Pick<ImageCopyRow, 'imageId' | 'poolId' | 'hostId'>;

/** Brings the images of these volumes to where `hostId` makes the volumes. */
export async function bringImages<P>(
  context: StepContext<P>,
  hostId: string,
  volumeIds: readonly string[],
): Promise<void> {
  const rows = await volumes.select(context.db, { id: [...volumeIds] });
  for (const { imageId, poolId, hostId: localTo } of rows) {
    if (imageId !== null) await bringImage(context, hostId, { imageId, poolId, hostId: localTo });
  }
}

async function bringImage<P>(context: StepContext<P>, hostId: string, place: Place): Promise<void> {
  const { db, store, signal } = context;
  const key = `${place.imageId}/${place.poolId}/${place.hostId}`;
  for (;;) {
    if ((await imageCopies.find(db, place))?.state === 'ready') return;
    const other = underWay(store).get(key);
    if (other === undefined) break;
    await unlessAborted(other, signal);
  }
  const copying = copyImage(context, hostId, place);
  const ended = copying.then(
    () => {},
    () => {},
  );
  underWay(store).set(key, ended);
  try {
    await copying;
  } finally {
    underWay(store).delete(key);
  }
}

async function copyImage<P>(context: StepContext<P>, hostId: string, place: Place): Promise<void> {
  const { db, store, call, hosts } = context;
  const { imageId, poolId } = place;
  const image = await images.get(db, imageId);
  const { format, sha256 } = image;
  if (image.state !== 'ready' || format === null || sha256 === null) throw unusable(image);
  const source = await imageSource(db, imageId, hostId);
  if (source === undefined) throw new KvasirError('host-unreachable', { host: `any that holds image ${image.name}` });
  await announce(context, place);
  const { content, sizeBytes } = await hosts.openImage(source.hostId, { imageId, poolId: source.poolId, format });
  const request = { imageId, poolId, maxVirtualSizeBytes: null, expectedSha256: sha256 };
  const sending = whileSending(context, hostId, content, (streamId) =>
    call(hostId, imageImport, { ...request, source: { streamId, sizeBytes } }, `${imageId}/${poolId}`),
  );
  const info = await unlessSourceEnds(context, { hostId: source.hostId, image: image.name, content }, sending);
  // A file that lay there already was not compared by the agent.
  if (info.sha256 !== sha256) {
    throw new KvasirError('bad-image', { reason: `its copy has the SHA-256 ${info.sha256}, not ${sha256}` });
  }
  await store.transaction((tx) => imageCopies.set(tx, place, { state: 'ready' }));
}

interface Sent {
  readonly hostId: string;
  readonly image: string;
  readonly content: Readable;
}

/**
 * The copy, unless nothing comes from its source any more: that is proven dead, though its link looks well, or its storage hangs. The next
 * try takes another place that holds the image. @throws KvasirError host-unreachable, timeout
 */
async function unlessSourceEnds<P, T>(context: StepContext<P>, sent: Sent, copy: Promise<T>): Promise<T> {
  const { db, clock, signal } = context;
  const { hostId, image, content } = sent;
  let [movedMs, isOver] = [clock.now(), false];
  content.on('data', () => (movedMs = clock.now()));
  // What the destination does with all of it may take its time.
  content.once('end', () => (isOver = true));
  let why = (): KvasirError => new KvasirError('host-unreachable', { host: hostId });
  const isDead = async (): Promise<boolean> => {
    if (isOver) return false;
    if ((await proofFor(db, hostId, {})) !== undefined) return true;
    if (clock.now() - movedMs < stalledAfterMs) return false;
    why = () => new KvasirError('timeout', { what: `The next byte of image ${image}`, timeoutMs: stalledAfterMs });
    return true;
  };
  copy.catch(() => {});
  try {
    return await unlessItDies(
      { clock, stopped: signal, isDead },
      () => copy,
      () => why(),
    );
  } finally {
    content.destroy();
  }
}

/** Written by whoever comes first; it stays until the image goes. */
async function announce<P>({ store, clock, ids }: StepContext<P>, place: Place): Promise<void> {
  await store.transaction(async (tx) => {
    if (await imageCopies.find(tx, place)) return;
    const image = await images.get(tx, place.imageId);
    if (image.state !== 'ready') throw unusable(image);
    await pools.get(tx, place.poolId);
    await imageCopies.insert(tx, { ...place, id: ids.uuid(), state: 'copying', createdAt: clock.now() });
  });
}

function unusable({ name, state }: ImageRow): KvasirError {
  return new KvasirError('wrong-state', { action: 'copy', kind: images.kind, name, state });
}

const copiesUnderWay = new WeakMap<Store, Map<string, Promise<void>>>();

/** Copies that tasks of this process make now; each promise resolves when it has ended, well or not. */
function underWay(store: Store): Map<string, Promise<void>> {
  const known = copiesUnderWay.get(store) ?? new Map<string, Promise<void>>();
  copiesUnderWay.set(store, known);
  return known;
}

async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
