/** Commands that are more than one operation. The code of each is loaded only when the command line names it. */
import type { Command } from 'commander';
import type { Surroundings } from './surroundings.ts';

type Add = (program: Command, around: Surroundings) => void;

interface OwnCommand {
  /** First word of the command line for which it is loaded. */
  readonly word: string;
  load(): Promise<Add>;
}

const ownCommands: readonly OwnCommand[] = [
  { word: 'vm', load: async () => (await import('./commands/vm-console.ts')).addVmConsole },
  { word: 'vm', load: async () => (await import('./commands/vm-screenshot.ts')).addVmScreenshot },
  { word: 'image', load: async () => (await import('./commands/image-upload.ts')).addImageUpload },
  { word: 'task', load: async () => (await import('./commands/task-watch.ts')).addTaskWatch },
  { word: 'event', load: async () => (await import('./commands/event-follow.ts')).addEventFollow },
  { word: 'login', load: async () => (await import('./commands/login.ts')).addLogin },
  { word: 'logout', load: async () => (await import('./commands/login.ts')).addLogout },
  { word: 'profile', load: async () => (await import('./commands/profile.ts')).addProfile },
  { word: 'completion', load: async () => (await import('./commands/completion.ts')).addCompletion },
];

/** Adds those whose first word stands on the command line. */
export async function addOwnCommands(words: readonly string[], program: Command, around: Surroundings): Promise<void> {
  for (const own of ownCommands) {
    if (words.includes(own.word)) (await own.load())(program, around);
  }
}

/** The group, made when it is not there. */
export function groupOf(program: Command, name: string): Command {
  return program.commands.find((command) => command.name() === name) ?? program.command(name);
}
