/**
 * What each kind of task is told: ids and decided values, never objects. Who enqueues has validated and decided, and has
 * written the rows of the intent in the same transaction, as each kind says below; the task only carries it out. When a task
 * ends as failed or cancelled it has put those rows back.
 */
import { closed, Id, nullable } from '@kvasir/api/schema.ts';
import { type Static, Type } from 'typebox';

const vm = closed({ vmId: Id });
const Mib = Type.Integer({ minimum: 1 });
const Sizes = closed({
  cpus: Type.Integer(),
  maxCpus: Type.Integer(),
  memoryMib: Type.Integer(),
  maxMemoryMib: Type.Integer(),
});
const Time = Type.Integer({ description: 'UTC milliseconds' });
/** A file and the host that works on it: for a shared pool, one that reaches it. */
const VolumeAt = closed({ volumeId: Id, hostId: Id });

export const taskParams = {
  /**
   * Before: vm `creating` on its `hostId`, its ports and vmDisks; new volumes `creating` (also named here), existing ones
   * `ready`. Locks: vm and all volumes. Failed: vm `failed` without host, ports, disks; new volumes gone. Cancelled: vm gone.
   */
  'vm-create': closed({ vmId: Id, newVolumeIds: Type.Array(Id), start: Type.Boolean() }),
  /** Before: `desiredState` running or paused. Not started: `desiredState` as it was seen. Same for the next five. */
  'vm-start': closed({ vmId: Id, paused: Type.Boolean() }),
  'vm-stop': closed({ vmId: Id, timeoutMs: Type.Integer({ minimum: 0 }), force: Type.Boolean() }),
  'vm-reset': vm,
  'vm-pause': vm,
  'vm-resume': vm,
  'vm-suspend': vm,
  /** Before: the vm's sizes are the larger of `from` and `to`, each (its capacity is taken). */
  'vm-resize': closed({ vmId: Id, from: Sizes, to: Sizes }),
  /**
   * `hostId`: where it is defined, or null. `stop`: power it off first. Trash (`purge` false): vm and the volumes of its
   * disks get `trashedAt`, vm loses its host. Purge: `deleteVolumes` go with it (other disks are only detached).
   * Locks: vm and the volumes of its disks.
   */
  'vm-delete': closed({
    vmId: Id,
    hostId: nullable(Id),
    stop: Type.Boolean(),
    purge: Type.Boolean(),
    /** With trash: when it shall be purged. */
    purgeAt: nullable(Time),
    deleteVolumes: Type.Array(VolumeAt),
  }),
  /**
   * Before: vm has its new `hostId`, still `trashed`; `trashedAt` and `purgeAt` are cleared there and on the volumes of its
   * disks (so a taken name shows at once). The old values are here, for when it fails.
   */
  'vm-restore': closed({ vmId: Id, trashedAt: Time, purgeAt: nullable(Time) }),
  /** Before: vm `reservedHostId` = destination. `copyVolumeIds`: those in local pools. Locks: vm and the volumes of its disks. */
  'vm-migrate': closed({
    vmId: Id,
    sourceHostId: Id,
    destinationHostId: Id,
    copyVolumeIds: Type.Array(Id),
    autoConverge: Type.Boolean(),
    maxDowntimeMs: nullable(Type.Integer({ minimum: 1 })),
    bandwidthMibps: nullable(Type.Integer({ minimum: 1 })),
  }),
  /**
   * `proofId`: of the old host's death; null: the old host is connected and knows the VM as stopped. Before: vm
   * `reservedHostId` = `toHostId`. Locks: vm and the volumes of its disks. Failed: it belongs to the old host as before.
   */
  'vm-restart': closed({
    vmId: Id,
    fromHostId: Id,
    toHostId: Id,
    proofId: nullable(Id),
    paused: Type.Boolean(),
  }),
  /** The VM is stopped, its disks can be reached from both. Before: vm `reservedHostId` = `toHostId`. Failed: as before. */
  'vm-rehome': closed({ vmId: Id, fromHostId: Id, toHostId: Id }),
  /** Before: host not `schedulable`, its hostMaintenance row. Failed: host as before, row gone; VMs that have moved stay there. */
  'host-maintenance': closed({ hostId: Id, parallel: Type.Integer({ minimum: 1 }) }),
  /**
   * Before: host not `schedulable`, its hostStandby row `entering`. Done: `standby`, off. Failed: as before; or, when its power may
   * have been cut, `waking` until it is heard.
   */
  'host-standby': closed({ hostId: Id, parallel: Type.Integer({ minimum: 1 }) }),
  /** Before: its hostStandby row `waking`. Done: host as before standby, row gone. Failed: row `failed`. */
  'host-wake': closed({ hostId: Id, timeoutMs: Type.Integer({ minimum: 0 }) }),
  /** Before: its vmDisks row; a new volume is `creating`. Locks: vm and volume. Failed: vmDisks row gone, new volume gone. */
  'vm-attach-disk': closed({ vmId: Id, volumeId: Id, newVolume: Type.Boolean() }),
  /** Locks: vm and volume. Done: vmDisks row gone. */
  'vm-detach-disk': closed({ vmId: Id, volumeId: Id }),
  /** Before: its port. Failed: port gone. */
  'vm-attach-nic': closed({ vmId: Id, nicId: Id }),
  /** Done: port gone. */
  'vm-detach-nic': closed({ vmId: Id, nicId: Id }),
  /** Before: volume `creating`. Failed: `failed`; cancelled: gone. */
  'volume-create': closed({ volumeId: Id, hostId: Id }),
  /** Before: `sizeMib` = `toMib`. `vmId`: the VM that it is attached to, or null. Locks: volume, and vm if any. */
  'volume-resize': closed({ volumeId: Id, hostId: Id, vmId: nullable(Id), fromMib: Mib, toMib: Mib }),
  /** Before: volume `deleting`, attached to nothing. Failed: `ready` when its file is still there, else `failed`. */
  'volume-delete': VolumeAt,
  /**
   * Before: image `importing`. Done: `ready` with its facts and a copy in the pool; the upload's row and spool file gone.
   * Failed: `failed`; cancelled: gone; the upload too. */
  'image-import': closed({
    imageId: Id,
    poolId: Id,
    hostId: Id,
    source: Type.Union([closed({ file: Type.String() }), closed({ uploadId: Id })]),
    maxVirtualSizeBytes: nullable(Type.Integer({ minimum: 0 })),
    expectedSha256: nullable(Type.String()),
  }),
  /** Before: image `deleting`, no volume `linked` to it or `creating` from it. `copies`: each file and the host that deletes it. */
  'image-delete': closed({ imageId: Id, copies: Type.Array(closed({ poolId: Id, hostId: Id })) }),
} as const;

export type TaskKindName = keyof typeof taskParams;
export type TaskParams<K extends TaskKindName> = Static<(typeof taskParams)[K]>;
