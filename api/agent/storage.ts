/**
 * Images and volumes in directory pools. Layout below the pool's path: `import/` (operator's files), `images/<id>.qcow2`
 * (or `.raw`; read-only, never changed), `volumes/<id>.qcow2|raw`. Files appear under their final name only when complete.
 */
import { type Static, Type } from 'typebox';
import { closed, Id, nullable, oneOf } from '../schema.ts';
import { change, query } from './method.ts';

export const DiskFormat = oneOf(['qcow2', 'raw'] as const);
const Bytes = Type.Integer({ minimum: 0 });

export const VolumeRef = closed({ poolId: Id, volumeId: Id, format: DiskFormat });
export type VolumeRef = Static<typeof VolumeRef>;

export const ImageInfo = closed({
  format: DiskFormat,
  virtualSizeBytes: Bytes,
  sizeBytes: Bytes,
  sha256: Type.String(),
});
export type ImageInfo = Static<typeof ImageInfo>;

/**
 * Takes a file into the pool as an image. Inspected in a child process with limits before anything else reads it; refused
 * (`bad-image`): a backing file, an external data file, encryption, a format that is neither qcow2 nor raw, a virtual size above
 * `maxVirtualSizeBytes`, a checksum other than `expectedSha256`. `source.file` is a name in the pool's `import/`;
 * `source.streamId` is a stream that the manager opened and writes the content to.
 */
export const imageImport = change(
  'image.import',
  'Inspect a file and take it into the pool as an image',
  closed({
    imageId: Id,
    poolId: Id,
    source: Type.Union([closed({ file: Type.String() }), closed({ streamId: Type.Integer(), sizeBytes: Bytes })]),
    maxVirtualSizeBytes: nullable(Bytes),
    expectedSha256: nullable(Type.String()),
  }),
  ImageInfo,
  { long: true },
);

export const imageDelete = change(
  'image.delete',
  'Delete an image file',
  closed({ imageId: Id, poolId: Id, format: DiskFormat }),
  closed({}),
);

/** Opens an image's file for reading: the answer's stream carries its content (to copy it into another host's local pool). */
export const imageOpen = query(
  'image.open',
  'Read an image file',
  closed({ imageId: Id, poolId: Id, format: DiskFormat }),
  closed({ streamId: Type.Integer(), sizeBytes: Bytes }),
);

/**
 * Creates a volume: empty, or from an image of the same pool (linked: qcow2 overlay; full: sparse copy), grown to `sizeBytes`
 * when larger than the image. `sizeBytes` smaller than the image is refused.
 */
export const volumeCreate = change(
  'volume.create',
  'Create a volume',
  closed({
    ...VolumeRef.properties,
    sizeBytes: Bytes,
    from: nullable(closed({ imageId: Id, imageFormat: DiskFormat, mode: oneOf(['linked', 'full'] as const) })),
  }),
  closed({ sizeBytes: Bytes }),
  { long: true },
);

/** Grows the file of a volume that no running VM uses; for a running VM see `vm.resizeDisk`. */
export const volumeResize = change(
  'volume.resize',
  'Grow a volume',
  closed({ ...VolumeRef.properties, sizeBytes: Bytes }),
  closed({ sizeBytes: Bytes }),
);

/** Deletes the file; a file that is not there counts as deleted. Refused while a domain of this host uses it. */
export const volumeDelete = change('volume.delete', 'Delete a volume', VolumeRef, closed({}));

export const storageList = query(
  'storage.list',
  'All volume and image ids that lie in a pool',
  closed({ poolId: Id }),
  closed({ volumeIds: Type.Array(Id), imageIds: Type.Array(Id) }),
);
