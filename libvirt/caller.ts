/** What the groups of operations need: typed calls, and streams. */
import type { CallOptions } from './connection.ts';
import type { ArgsOf, ProcedureName, ResultOf } from './procedures/table.ts';
import type { LibvirtStream } from './stream.ts';

/** A procedure without arguments may be called without any. */
export type CallRest<N extends ProcedureName> =
  ArgsOf<N> extends void ? [args?: undefined, options?: CallOptions] : [args: ArgsOf<N>, options?: CallOptions];

export interface Caller {
  call<N extends ProcedureName>(name: N, ...rest: CallRest<N>): Promise<ResultOf<N>>;
  /** The stream has a connection of its own, which ends with it. */
  openStream<N extends ProcedureName>(name: N, args: ArgsOf<N>): Promise<OpenedStream<N>>;
}

export interface OpenedStream<N extends ProcedureName> {
  readonly result: ResultOf<N>;
  readonly stream: LibvirtStream;
}
