/** For each kind of task: rows as its intent writes them, and what shall be true when it succeeded. */
import type { TaskKindName } from '../tasks/params.ts';
import { hostTasks } from './scenarios/hosts.ts';
import { storageTasks } from './scenarios/storage.ts';
import { vmDevices } from './scenarios/vm-devices.ts';
import { vmLife } from './scenarios/vm-life.ts';
import { vmMoves } from './scenarios/vm-moves.ts';
import type { Scenarios } from './scenarios/scenario.ts';

/** At least one for each kind. */
export const taskScenarios: Readonly<Record<TaskKindName, Scenarios>> = {
  ...vmLife,
  ...vmMoves,
  ...vmDevices,
  ...hostTasks,
  ...storageTasks,
};
