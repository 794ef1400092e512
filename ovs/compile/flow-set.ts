/**
 * Flows in the making. Of two with the same table, priority and match the first is kept (the compiler goes through everything
 * in sorted order, so the choice does not depend on the order of the input), and the result is sorted.
 */
import type { Action, FieldMatch, FieldName, Flow, Match } from '../flow.ts';

/** A number: all bits. */
export type Fields = { readonly [F in FieldName]?: bigint | number | FieldMatch | undefined };

export class FlowSet {
  readonly #flows = new Map<string, Flow>();

  add(cookie: bigint, table: number, priority: number, fields: Fields, actions: readonly Action[]): void {
    const match = matchOf(fields);
    const key = flowKey({ table, priority, match });
    if (!this.#flows.has(key)) this.#flows.set(key, { table, priority, cookie, match, actions });
  }

  sorted(): Flow[] {
    return [...this.#flows]
      .sort(([a, one], [b, other]) => one.table - other.table || other.priority - one.priority || (a < b ? -1 : 1))
      .map(([, flow]) => flow);
  }
}

/** What makes a flow that flow. */
export function flowKey({ table, priority, match }: Pick<Flow, 'table' | 'priority' | 'match'>): string {
  const fields = (Object.entries(match) as [FieldName, FieldMatch][])
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { value, mask }]) => `${name}=${hex(value)}${mask === undefined ? '' : `/${hex(mask)}`}`);
  return `${table} ${priority} ${fields.join(' ')}`;
}

export function matchOf(fields: Fields): Match {
  const match: { [F in FieldName]?: FieldMatch } = {};
  for (const [name, wanted] of Object.entries(fields) as [FieldName, Fields[FieldName]][]) {
    if (wanted === undefined) continue;
    if (typeof wanted === 'object') {
      if (wanted.mask !== 0n) match[name] = wanted;
    } else match[name] = { value: BigInt(wanted) };
  }
  return match;
}

/** Padded, so that the order of text is the order of numbers. */
function hex(value: bigint): string {
  return value.toString(16).padStart(32, '0');
}
