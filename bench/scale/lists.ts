/** How long lists take, one request after the other, at the client. */
import type { Client } from '@kvasir/api/client.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import { eventOperations } from '@kvasir/api/resources/event.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { type Summary, summarize } from '../statistics.ts';
import { hostName, vmName } from './sizes.ts';

export interface ListTime extends Summary {
  readonly name: string;
}

interface Asked {
  readonly name: string;
  readonly operation: Operation;
  readonly query: Readonly<Record<string, unknown>>;
}

const limit = 100;

export async function timeLists(
  client: Client,
  options: { readonly vms: number; readonly rounds: number },
): Promise<ListTime[]> {
  const middle = Math.ceil(options.vms / 2);
  const asked: Asked[] = [
    { name: 'vm list, first page', operation: vmOperations.list, query: { limit } },
    { name: 'vm list, a page in the middle', operation: vmOperations.list, query: await middlePage(client, middle) },
    { name: 'vm list --state running', operation: vmOperations.list, query: { limit, state: 'running' } },
    { name: 'vm list --state stopped (none)', operation: vmOperations.list, query: { limit, state: 'stopped' } },
    { name: 'vm list --name', operation: vmOperations.list, query: { name: vmName(middle) } },
    { name: 'vm list --host', operation: vmOperations.list, query: { limit, host: hostName(1) } },
    { name: 'vm list --sort -createdAt', operation: vmOperations.list, query: { limit, sort: '-createdAt' } },
    { name: 'vm list --sort memoryMib', operation: vmOperations.list, query: { limit, sort: 'memoryMib' } },
    { name: 'host list', operation: hostOperations.list, query: { limit } },
    { name: 'task list', operation: taskOperations.list, query: { limit } },
    { name: 'event log, oldest', operation: eventOperations.list, query: { limit } },
    { name: 'event log, newest', operation: eventOperations.list, query: { limit, sort: '-seq' } },
    {
      name: 'event log --kind host.up',
      operation: eventOperations.list,
      query: { limit, sort: '-seq', kind: 'host.up' },
    },
  ];
  const times = asked.map((): number[] => []);
  for (let round = 0; round < options.rounds; round += 1) {
    for (const [index, { operation, query }] of asked.entries()) {
      const began = performance.now();
      await client.send(operation, { query });
      times[index]!.push(performance.now() - began);
    }
  }
  return asked.map(({ name }, index) => ({ name, ...summarize(times[index]!) }));
}

/** The cursor of a page behind `skip` VMs. */
async function middlePage(client: Client, skip: number): Promise<Readonly<Record<string, unknown>>> {
  let query: { readonly limit: number; readonly cursor?: string } = { limit };
  for (let passed = 0; passed + limit <= skip; passed += limit) {
    const { nextCursor } = await client.call(vmOperations.list, { query });
    if (nextCursor === null) break;
    query = { limit, cursor: nextCursor };
  }
  return query;
}
