/** `kvasir task watch ID`: follow a task to its end and exit by its outcome. */
import type { Command } from 'commander';
import { connect, type GlobalFlags } from '../connection.ts';
import { addGlobalOptions } from '../option-set.ts';
import { groupOf } from '../own-commands.ts';
import type { Surroundings } from '../surroundings.ts';
import { awaitTask } from '../task-result.ts';

export function addTaskWatch(program: Command, around: Surroundings): void {
  const command = groupOf(program, 'task')
    .command('watch')
    .description('Follow a task to its end; exit code 1 when it does not succeed')
    .argument('<task>', 'id of the task');
  addGlobalOptions(command, false);
  command.action(async (id: string) => {
    const flags: GlobalFlags = command.optsWithGlobals();
    const { client } = await connect(flags, around);
    await awaitTask(client, id, flags, around);
  });
}
