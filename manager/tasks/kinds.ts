/** All kinds of task, for the runner and for the tests that walk over them. */
import { hostMaintenanceTask } from './host-maintenance.ts';
import { hostStandbyTask } from './host-standby.ts';
import { hostWakeTask } from './host-wake.ts';
import { imageDelete } from './image-delete.ts';
import { imageImport } from './image-import.ts';
import type { AnyTaskKind } from './kind.ts';
import type { TaskKindName } from './params.ts';
import { vmAttachDisk } from './vm-attach-disk.ts';
import { vmAttachNic } from './vm-attach-nic.ts';
import { vmCreate } from './vm-create.ts';
import { vmDelete } from './vm-delete.ts';
import { vmDetachDisk } from './vm-detach-disk.ts';
import { vmDetachNic } from './vm-detach-nic.ts';
import { vmMigrate } from './vm-migrate.ts';
import { vmPause } from './vm-pause.ts';
import { vmRehome } from './vm-rehome.ts';
import { vmReset } from './vm-reset.ts';
import { vmResize } from './vm-resize.ts';
import { vmRestart } from './vm-restart.ts';
import { vmRestore } from './vm-restore.ts';
import { vmResume } from './vm-resume.ts';
import { vmStart } from './vm-start.ts';
import { vmStop } from './vm-stop.ts';
import { vmSuspend } from './vm-suspend.ts';
import { volumeCreate } from './volume-create.ts';
import { volumeDelete } from './volume-delete.ts';
import { volumeResize } from './volume-resize.ts';

export const taskKinds: Readonly<Record<TaskKindName, AnyTaskKind>> = {
  'vm-create': vmCreate,
  'vm-start': vmStart,
  'vm-stop': vmStop,
  'vm-reset': vmReset,
  'vm-pause': vmPause,
  'vm-resume': vmResume,
  'vm-suspend': vmSuspend,
  'vm-resize': vmResize,
  'vm-delete': vmDelete,
  'vm-restore': vmRestore,
  'vm-migrate': vmMigrate,
  'vm-restart': vmRestart,
  'vm-rehome': vmRehome,
  'host-maintenance': hostMaintenanceTask,
  'host-standby': hostStandbyTask,
  'host-wake': hostWakeTask,
  'vm-attach-disk': vmAttachDisk,
  'vm-detach-disk': vmDetachDisk,
  'vm-attach-nic': vmAttachNic,
  'vm-detach-nic': vmDetachNic,
  'volume-create': volumeCreate,
  'volume-resize': volumeResize,
  'volume-delete': volumeDelete,
  'image-import': imageImport,
  'image-delete': imageDelete,
};

/** Undefined: a newer manager wrote a kind that this one does not know. */
export function findKind(kind: string): AnyTaskKind | undefined {
  return (taskKinds as Readonly<Record<string, AnyTaskKind | undefined>>)[kind];
}

/** @throws when there is none */
export function kindNamed(kind: string): AnyTaskKind {
  const definition = findKind(kind);
  if (definition === undefined) throw new Error(`There is no kind of task ${kind}`);
  return definition;
}
