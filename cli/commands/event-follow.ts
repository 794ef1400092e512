/** `kvasir event list --follow`: events as they happen, across restarts of the manager; what is missing is said. */
import type { Event, EventGap } from '@kvasir/api/resources/event.ts';
import type { Command } from 'commander';
import { connect, type GlobalFlags } from '../connection.ts';
import type { Surroundings } from '../surroundings.ts';
import { cellText } from '../table.ts';
import { UsageError } from '../usage-error.ts';
import { parseValue } from '../values.ts';
import { fieldsOf } from '../fields.ts';
import { eventOperations } from '@kvasir/api/resources/event.ts';
import { groupOf } from '../own-commands.ts';

interface FollowFlags extends GlobalFlags {
  readonly follow?: boolean;
  readonly after?: readonly string[];
  readonly kind?: readonly string[];
  readonly severity?: readonly string[];
  readonly target?: readonly string[];
}

/** Adds `--follow` to the derived command and keeps its action for all other uses. */
export function addEventFollow(program: Command, around: Surroundings): void {
  const list = groupOf(program, 'event').commands.find((command) => command.name() === 'list');
  if (!list) return;
  list.option('--follow', 'wait for new events and print each as it happens; resumes by itself, Ctrl-C ends it');
  list.hook('preAction', async () => {
    const flags: FollowFlags = list.optsWithGlobals();
    if (!flags.follow) return;
    list.action(() => followEvents(flags, around));
  });
}

async function followEvents(flags: FollowFlags, around: Surroundings): Promise<void> {
  const { client } = await connect(flags, around);
  const after = await afterOf(flags);
  const watch = {
    after,
    project: flags.project,
    signal: around.interrupted,
    onReconnect: (cause: Error) => around.stderr.write(`connection lost (${cause.message}); connecting again\n`),
    onGap: (gap: EventGap) => around.stderr.write(`${describeGap(gap)}\n`),
  };
  for await (const event of client.watchEvents(watch)) {
    if (matches(event, flags)) around.stdout.write(await line(event, flags));
  }
}

function describeGap({ after, next }: EventGap): string {
  if (next <= after) return `there is no event ${after} here (any more): going on with ${next}`;
  return `events ${after + 1} to ${next - 1} are missing: the manager no longer keeps them`;
}

async function afterOf(flags: FollowFlags): Promise<number | undefined> {
  if (!flags.after) return undefined;
  const field = fieldsOf(eventOperations.list).options.find((one) => one.flag === 'after');
  if (!field) throw new UsageError('--after is not known');
  const none = () => Promise.reject(new UsageError('--after: must be a number'));
  return (await parseValue(field, flags.after, { readStdin: none, readSecret: none })) as number;
}

function matches(event: Event, flags: FollowFlags): boolean {
  return (
    (!flags.kind || flags.kind.includes(event.kind)) &&
    (!flags.severity || flags.severity.includes(event.severity)) &&
    (!flags.target || (event.target !== null && flags.target.includes(event.target.id)))
  );
}

async function line(event: Event, flags: FollowFlags): Promise<string> {
  if (flags.output === 'json') return `${JSON.stringify(event)}\n`;
  if (flags.output === 'yaml') return `---\n${(await import('yaml')).stringify(event)}`;
  const target = event.target === null ? '' : ` ${cellText('', event.target.name)}`;
  return `${event.seq} ${cellText('at', event.at)} ${event.severity} ${event.kind}${target}: ${cellText('', event.message)}\n`;
}
