/** The whole command tree: a group for each resource with its operations, and the CLI's own commands beside them. */
import { allOperations } from '@kvasir/api/contract.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import { Command } from 'commander';
import { kebab } from './fields.ts';
import { frontPage, groupSummaries } from './front-page.ts';
import { addGlobalOptions } from './option-set.ts';
import { operationCommand } from './operation-command.ts';
import { addOwnCommands } from './own-commands.ts';
import type { Surroundings } from './surroundings.ts';

/** Only the group that `words` name gets its commands, for speed; `--help` of the program needs none of them. */
export async function buildProgram(words: readonly string[], around: Surroundings): Promise<Command> {
  const program = new Command('kvasir').description('Kvasir: a private cloud from Linux servers');
  program.enablePositionalOptions().helpCommand(false).allowExcessArguments(false);
  addGlobalOptions(program, true);
  program.helpInformation = frontPage;

  const groups = new Map<string, Operation[]>();
  for (const operation of allOperations) {
    const name = kebab(operation.resource);
    groups.set(name, [...(groups.get(name) ?? []), operation]);
  }
  for (const [name, operations] of groups) {
    const group = new Command(name).description(groupSummaries[name] ?? '').helpCommand(false);
    if (words.includes(name)) {
      for (const operation of operations) {
        if (!operation.cli.hidden) group.addCommand(operationCommand(operation, around));
      }
    }
    program.addCommand(group);
  }
  await addOwnCommands(words, program, around);
  settle(program, around);
  return program;
}

/** Commander's output and exits, for every command of the tree. */
function settle(command: Command, around: Surroundings): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => around.stdout.write(text),
    writeErr: (text) => around.stderr.write(text),
    getOutHelpWidth: () => around.stdout.columns ?? 100,
    getErrHelpWidth: () => around.stderr.columns ?? 100,
  });
  for (const child of command.commands) settle(child, around);
}
