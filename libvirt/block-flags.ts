/** Flags of disk operations, under libvirt's own names; combine them with `|`. */
/** Resize; without BYTES the size is in KiB. */
export const BlockResizeFlags = {
  VIR_DOMAIN_BLOCK_RESIZE_BYTES: 1,
} as const;

/** Commit. Without SHALLOW it goes to the very base of the chain, which may be a shared template. */
export const BlockCommitFlags = {
  VIR_DOMAIN_BLOCK_COMMIT_SHALLOW: 1,
  VIR_DOMAIN_BLOCK_COMMIT_DELETE: 2,
  VIR_DOMAIN_BLOCK_COMMIT_ACTIVE: 4,
  VIR_DOMAIN_BLOCK_COMMIT_RELATIVE: 8,
  VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES: 16,
} as const;

/** End of a block job. */
export const BlockJobAbortFlags = {
  VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC: 1,
  VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT: 2,
} as const;

/** Kind of a block job; not a bit mask. */
export const BlockJobType = {
  VIR_DOMAIN_BLOCK_JOB_TYPE_UNKNOWN: 0,
  VIR_DOMAIN_BLOCK_JOB_TYPE_PULL: 1,
  VIR_DOMAIN_BLOCK_JOB_TYPE_COPY: 2,
  VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT: 3,
  VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT: 4,
  VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP: 5,
} as const;

/** Progress of a block job. */
export const BlockJobInfoFlags = {
  VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES: 1,
} as const;

/** Copy of a disk. */
export const BlockCopyFlags = {
  VIR_DOMAIN_BLOCK_COPY_SHALLOW: 1,
  VIR_DOMAIN_BLOCK_COPY_REUSE_EXT: 2,
  VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB: 4,
  VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES: 8,
} as const;

/** Snapshot. */
export const SnapshotCreateFlags = {
  VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE: 1,
  VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT: 2,
  VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA: 4,
  VIR_DOMAIN_SNAPSHOT_CREATE_HALT: 8,
  VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY: 16,
  VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT: 32,
  VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE: 64,
  VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC: 128,
  VIR_DOMAIN_SNAPSHOT_CREATE_LIVE: 256,
  VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE: 512,
} as const;

/** Removal of a snapshot. */
export const SnapshotDeleteFlags = {
  VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN: 1,
  VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY: 2,
  VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY: 4,
} as const;
