/** Commands that are more than one operation. Each is loaded only when the command line names it. */
import type { Command } from 'commander';
import type { Surroundings } from './surroundings.ts';

export interface OwnCommand {
  /** Where it stands in the tree: `['vm', 'console']`. */
  readonly words: readonly string[];
  add(program: Command, around: Surroundings): void;
}

/** The group, made when it is not there. */
export function groupOf(program: Command, name: string): Command {
  return program.commands.find((command) => command.name() === name) ?? program.command(name);
}

export const ownCommands: readonly OwnCommand[] = [];
