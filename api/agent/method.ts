/**
 * The manager <-> agent contract's building block, in the same form as the public operations.
 *
 * Invariants: a `change` carries a key (`task/step`) and the epoch of the leader's lease. The agent remembers finished
 * keys with their results and answers a repeated key from that journal; it refuses an epoch older than the newest it saw
 * (`stale-epoch`). An answer that tells what runs is true for one boot of the host, and forgotten with it (`endsWithBoot`). Every change is 'make it so': repeating it after it took effect succeeds. A `query` changes nothing.
 */
import type { Static, TSchema } from 'typebox';

export interface AgentMethod<P extends TSchema = TSchema, R extends TSchema = TSchema> {
  /** e.g. `vm.start`; the JSON-RPC method name. */
  readonly name: string;
  readonly summary: string;
  readonly kind: 'query' | 'change';
  /** May run for minutes: reports `progress` notifications, is cancelled by `call.cancel`. */
  readonly long: boolean;
  /** What it did and answered ends with the boot of the host: asked again in the next one, it is done again. */
  readonly endsWithBoot: boolean;
  readonly params: P;
  readonly result: R;
}

export type ParamsOf<M extends AgentMethod> = Static<M['params']>;
export type ResultOf<M extends AgentMethod> = Static<M['result']>;

export function query<P extends TSchema, R extends TSchema>(
  name: string,
  summary: string,
  params: P,
  result: R,
): AgentMethod<P, R> {
  return { name, summary, kind: 'query', long: false, endsWithBoot: false, params, result };
}

export function change<P extends TSchema, R extends TSchema>(
  name: string,
  summary: string,
  params: P,
  result: R,
  options: { readonly long?: boolean; readonly endsWithBoot?: boolean } = {},
): AgentMethod<P, R> {
  const { long = false, endsWithBoot = false } = options;
  return { name, summary, kind: 'change', long, endsWithBoot, params, result };
}
