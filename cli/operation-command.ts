/** One operation of the contract -> one command. */
import type { CallRequest } from '@kvasir/api/client.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import type { Page } from '@kvasir/api/schema.ts';
import { Command } from 'commander';
import { connect, type GlobalFlags } from './connection.ts';
import { fieldsOf, kebab, type Schema } from './fields.ts';
import { addFields, addGlobalOptions, buildRequest } from './option-set.ts';
import { printItem, printList } from './output.ts';
import { withProjects } from './project-column.ts';
import { secretReader } from './secret.ts';
import { readAll, type Surroundings } from './surroundings.ts';
import { announceTask, awaitTask } from './task-result.ts';

/** Words of the command after the resource: `get` reads better as `show`. */
export function commandName(operation: Operation): string {
  return operation.cli.name ?? (operation.verb === 'get' ? 'show' : kebab(operation.verb));
}

interface OperationFlags extends GlobalFlags {
  readonly wait?: boolean;
  readonly ifMatch?: string;
  readonly idempotencyKey?: string;
}

export function operationCommand(operation: Operation, around: Surroundings): Command {
  const fields = fieldsOf(operation);
  const namesProject = 'project' in ((operation.query as Schema).properties ?? {});
  const command = new Command(commandName(operation)).description(operation.summary);
  addFields(command, fields);
  if (operation.task !== undefined)
    command.option('--wait', 'wait for the task, show its progress, end by its outcome');
  if (operation.method === 'PATCH') {
    command.option('--if-match <revision>', 'refuse when the revision is another meanwhile');
  }
  if (operation.idempotent) {
    command.option('--idempotency-key <key>', 'asking again with the same key does it only once');
  }
  addGlobalOptions(command, namesProject);

  command.action(async () => {
    const flags: OperationFlags & Record<string, unknown> = command.optsWithGlobals();
    const request = await buildRequest(fields, command.args, command.opts(), {
      readStdin: () => readAll(around.stdin),
      readSecret: secretReader(around),
    });
    const { client, project } = await connect(flags, around);
    const query = { ...request.query };
    const everywhere = query.allProjects === true;
    if (namesProject) query.project = everywhere ? flags.project : projectFor(operation, flags.project, project);
    const asked = {
      params: request.params,
      query,
      body: operation.body === undefined ? undefined : request.body,
      ifMatch: flags.ifMatch,
      idempotencyKey: flags.idempotencyKey,
      signal: around.interrupted,
    };
    if (isList(operation)) {
      await printPages(operation, asked);
      return;
    }
    const answer = await client.send(operation, asked);
    if (operation.task !== undefined) {
      if (flags.wait) await awaitTask(client, (answer as Task).id, flags, around);
      else await announceTask(answer as Task, flags, around);
    } else if (answer !== null) await printItem(answer, flags, around);
    else if (flags.output === undefined || flags.output === 'table') around.stdout.write('done\n');

    async function printPages(list: Operation, asking: typeof asked) {
      const items: unknown[] = [];
      if (asking.query.limit === undefined && asking.query.cursor === undefined) {
        for await (const item of client.listAll(list, asking as CallRequest<Operation>)) items.push(item);
      } else {
        const page = (await client.send(list, asking)) as Page<unknown>;
        items.push(...page.items);
        if (page.nextCursor !== null) around.stderr.write(`there are more: --cursor ${page.nextCursor}\n`);
      }
      const listed = { items, columns: list.cli.columns };
      const isTable = flags.output === undefined || flags.output === 'table';
      const overProjects = everywhere || (operation.access === 'session' && query.project === undefined);
      const shown = isTable && overProjects ? await withProjects(client, listed, everywhere) : listed;
      await printList(shown.items, shown.columns, flags, around);
    }
  });
  return command;
}

export function isList(operation: Operation): boolean {
  const { properties } = operation.response as Schema;
  return properties !== undefined && 'items' in properties && 'nextCursor' in properties;
}

/** Lists over all that one can see (tasks, events) are narrowed to a project only when asked on the command line. */
function projectFor(
  operation: Operation,
  given: string | undefined,
  ofProfile: string | undefined,
): string | undefined {
  return given ?? (operation.access === 'session' ? undefined : ofProfile);
}
