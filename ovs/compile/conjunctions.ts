/**
 * Rules whose remote end is a group: a rule with M services and a group with N addresses make M + N flows, not M x N, and rules
 * with the same group share its N. `conjunction` joins both sides: where one flow of either matched, `conj_id` matches.
 */
import type { Action } from '../flow.ts';
import type { Family } from './addresses.ts';
import { cookieOf, fnv1a } from './cookies.ts';
import type { Fields, FlowSet } from './flow-set.ts';
import { flowKey, matchOf } from './flow-set.ts';
import { ip } from './matches.ts';
import { remoteField, serviceMatches } from './rule-match.ts';
import type { Rule } from './slice.ts';

export type GroupRule = Rule & { readonly remote: { readonly groupId: string } };

export interface Stage {
  readonly table: number;
  readonly profile: Fields;
  readonly cookie: bigint;
  /** What a packet that a rule allows goes through. */
  readonly allow: readonly Action[];
  /** Of a packet that opens a connection. */
  readonly opening: Fields;
}

/** The members of a group that are of this family. */
export type AddressesOf = (groupId: string, family: Family) => readonly bigint[];

const priority = 100;

/** Gives every conjunction of a bridge an id of its own: a hash, so that a new rule does not renumber the others. */
export class ConjunctionIds {
  readonly #used = new Set<number>();

  next(name: string): number {
    let id = Number(fnv1a(name) & 0xffffffffn);
    while (id === 0 || this.#used.has(id)) id = (id + 1) >>> 0;
    this.#used.add(id);
    return id;
  }
}

export function allowGroups(
  rules: readonly GroupRule[],
  addressesOf: AddressesOf,
  stage: Stage,
  ids: (rule: Rule) => number,
  flows: FlowSet,
): void {
  const parts = new Map<string, { readonly fields: Fields; readonly actions: Action[] }>();
  const join = (fields: Fields, ids: readonly number[], clause: number): void => {
    const all = { ...stage.profile, ...fields };
    const key = flowKey({ table: stage.table, priority, match: matchOf(all) });
    const part = parts.get(key) ?? { fields: all, actions: [] };
    for (const id of ids) part.actions.push({ do: 'conjunction', id, clause, of: 2 });
    parts.set(key, part);
  };
  /** Conjunctions of the rules that have the same other end. */
  const sharing = new Map<
    string,
    { readonly rule: GroupRule; readonly remotes: readonly bigint[]; readonly ids: number[] }
  >();
  for (const rule of rules) {
    const name = `${rule.family} ${rule.remote.groupId}`;
    const remotes = sharing.get(name)?.remotes ?? addressesOf(rule.remote.groupId, rule.family);
    const services = serviceMatches(rule);
    if (services.length === 0 || remotes.length === 0) continue;
    const id = ids(rule);
    const shared = sharing.get(name) ?? { rule, remotes, ids: [] };
    shared.ids.push(id);
    sharing.set(name, shared);
    for (const fields of services) join(fields, [id], 2);
    // The profile is in both sides; here it says whose rule this is in a listing.
    const joined = { ...stage.profile, ...ip[rule.family], ...stage.opening, conj_id: id };
    flows.add(cookieOf('rule', rule.ruleId), stage.table, priority, joined, stage.allow);
  }
  for (const { rule, remotes, ids } of sharing.values()) {
    for (const value of remotes) join({ ...ip[rule.family], [remoteField(rule)]: value }, ids, 1);
  }
  for (const { fields, actions } of parts.values()) flows.add(stage.cookie, stage.table, priority, fields, actions);
}
