/**
 * Rules whose remote end is a group. Nothing multiplies: a group makes a flow for each of its addresses, a rule one for each of its
 * services, whatever the number of rules that name the group and of ports that have them.
 *
 * `conjunction` joins both sides under an id of the group: where a flow of either matched, `conj_id` does. Which rule it was is
 * told apart in the next table, for the counters.
 */
import type { Action } from '../flow.ts';
import { resubmit, set } from './actions.ts';
import type { Family } from './addresses.ts';
import { cookieOf, fnv1a } from './cookies.ts';
import { type Fields, flowKey, type FlowSet, matchOf } from './flow-set.ts';
import { ip } from './matches.ts';
import { register } from './pipeline.ts';
import { remoteField, serviceMatches } from './rule-match.ts';
import type { Rule } from './slice.ts';

/** A rule as one combination of groups has it. */
export interface GroupRule {
  readonly profile: number;
  readonly rule: Rule & { readonly remote: { readonly groupId: string } };
}

export interface Stage {
  readonly table: number;
  /** Where the rules of one group are told apart. */
  readonly tellApart: number;
  /** Where a packet goes that a rule allows. */
  readonly allow: readonly Action[];
  /** Of a packet that opens a connection. */
  readonly opening: Fields;
}

/** The members of a group that are of this family. */
export type AddressesOf = (groupId: string, family: Family) => readonly bigint[];

const priority = 100;

/** Gives every conjunction of a bridge an id of its own: a hash, so that a new group does not renumber the others. */
export class ConjunctionIds {
  readonly #used = new Set<number>();

  next(name: string): number {
    let id = Number(fnv1a(name) & 0xffffffffn);
    while (id === 0 || this.#used.has(id)) id = (id + 1) >>> 0;
    this.#used.add(id);
    return id;
  }
}

/** `rules`: of one direction, in a fixed order. */
export function allowGroups(
  rules: readonly GroupRule[],
  addressesOf: AddressesOf,
  stage: Stage,
  ids: ConjunctionIds,
  flows: FlowSet,
): void {
  const parts = new Parts(stage.table);
  const idOf = new Map<string, number>();
  for (const { profile, rule } of rules) {
    const { groupId } = rule.remote;
    const name = `${rule.direction} ${rule.family} ${groupId}`;
    const services = serviceMatches(rule);
    const remotes = services.length === 0 ? [] : addressesOf(groupId, rule.family);
    if (remotes.length === 0) continue;
    const id = idOf.get(name) ?? ids.next(name);
    if (!idOf.has(name)) {
      idOf.set(name, id);
      for (const value of remotes) parts.join({ ...ip[rule.family], [remoteField(rule)]: value }, id, 1);
      const joined = { ...ip[rule.family], ...stage.opening, conj_id: id };
      const onward = [set(register.remoteGroup, id), resubmit(stage.tellApart)];
      flows.add(cookieOf('group', groupId), stage.table, priority, joined, onward);
    }
    for (const fields of services) {
      parts.join({ [register.profile]: profile, ...fields }, id, 2);
      const exactly = { [register.profile]: profile, [register.remoteGroup]: id, ...fields };
      flows.add(cookieOf('rule', rule.ruleId), stage.tellApart, priority, exactly, stage.allow);
    }
  }
  parts.addTo(flows);
}

/** Flows that are part of several conjunctions: one flow with one action for each. */
class Parts {
  readonly #table: number;
  readonly #parts = new Map<string, { readonly fields: Fields; readonly clauseOf: Map<number, Action> }>();

  constructor(table: number) {
    this.#table = table;
  }

  join(fields: Fields, id: number, clause: 1 | 2): void {
    const key = flowKey({ table: this.#table, priority, match: matchOf(fields) });
    const part = this.#parts.get(key) ?? { fields, clauseOf: new Map() };
    part.clauseOf.set(id, { do: 'conjunction', id, clause, of: 2 });
    this.#parts.set(key, part);
  }

  addTo(flows: FlowSet): void {
    for (const { fields, clauseOf } of this.#parts.values()) {
      const actions = [...clauseOf].sort(([a], [b]) => a - b).map(([, action]) => action);
      flows.add(cookieOf('pipeline'), this.#table, priority, fields, actions);
    }
  }
}
