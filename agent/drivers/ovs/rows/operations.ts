/** Parts of a transaction: references to rows that exist or that it makes itself, and names for the latter. */
import type { Condition, Operation } from '@kvasir/ovs/ovsdb-operations.ts';
import type { NamedUuid, Uuid, Value } from '@kvasir/ovs/ovsdb-values.ts';

export type Ref = Uuid | NamedUuid;

/** Port name -> the reference that operations of this transaction use for it. */
export type Refs = ReadonlyMap<string, Ref>;

/** Names for rows of one transaction. */
export class Names {
  #last = 0;

  next(): string {
    this.#last += 1;
    return `row${this.#last}`;
  }
}

export function mutateSet(
  table: string,
  where: readonly Condition[],
  column: string,
  mutator: 'insert' | 'delete',
  value: Value,
): Operation {
  return { op: 'mutate', table, where, mutations: [[column, mutator, value]] };
}
