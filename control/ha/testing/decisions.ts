/** What was decided at the moment of the facts, told shortly. */
import type { HaAction } from '../actions.ts';
import { decide } from '../decide.ts';
import type { HaSnapshot } from '../snapshot.ts';
import { now } from './facts.ts';

export const kinds = (actions: readonly HaAction[]) => actions.map(({ kind }) => kind);

/** The state that the host comes to; undefined: it keeps its own. */
export const stateOf = (snapshot: HaSnapshot, hostId: string) =>
  decide(snapshot, now).flatMap((action) =>
    action.kind === 'set-state' && action.hostId === hostId ? [action.state] : [],
  )[0];
