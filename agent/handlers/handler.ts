/**
 * What a handler is: one agent method mapped onto the drivers. Handlers are idempotent, answer in the contract's schema,
 * and throw `KvasirError`s; what else they throw reaches the manager as `host-failed`.
 */
import type { Streams } from '@kvasir/api/agent/wire/streams.ts';
import type { AgentMethod, ParamsOf, ResultOf } from '@kvasir/api/agent/method.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { HostDrivers } from '../drivers/drivers.ts';
import type { Served } from '../journal/served.ts';
import type { VmMetadataStore } from '../journal/vm-metadata.ts';
import type { VmSpecs } from '../journal/vm-specs.ts';
import type { KeyedLock } from '../keyed-lock.ts';
import type { StartNotes } from '../start-notes.ts';

export interface ProgressReport {
  readonly percent: number;
  readonly bytesDone: number | null;
  readonly bytesTotal: number | null;
  readonly downtimeMs?: number | null;
}

/** What a handler gets beside its params. */
export interface HandlerCall {
  /** Fires when the manager cancels a long change. */
  readonly signal: AbortSignal;
  readonly progress: (report: ProgressReport) => void;
  /** Of the link that the call came over. */
  readonly streams: Streams;
}

/** Who this host is. */
export interface HostIdentity {
  readonly hostId: string;
  readonly name: string;
  /** Management address that other hosts reach this one at. */
  readonly address: string;
}

/** What all handlers share. */
export interface HostContext {
  readonly identity: HostIdentity;
  readonly drivers: HostDrivers;
  readonly specs: VmSpecs;
  readonly served: Served;
  readonly metadata: VmMetadataStore;
  /** Keys: `vm:ID`, `volume:ID`, `image:ID`, `pools`, `networks`. */
  readonly locks: KeyedLock;
  readonly starts: StartNotes;
  readonly clock: Clock;
  readonly hostname: string;
  /** Of the host, new with each boot. */
  readonly bootId: string;
  readonly versions: Readonly<Record<string, string>>;
}

export interface Handler {
  readonly method: AgentMethod;
  readonly run: (params: unknown, call: HandlerCall) => Promise<unknown>;
  /** It comes to nothing while the hypervisor does not answer. */
  readonly needsHypervisor?: boolean;
  /** What it comes to all the same; undefined: nothing. */
  readonly withoutHypervisor?: (params: unknown) => Promise<unknown>;
}

/** Binds typed code to a method; the dispatcher checks params and results against the method's schemas. */
export function handler<M extends AgentMethod>(
  method: M,
  run: (params: ParamsOf<M>, call: HandlerCall) => Promise<ResultOf<M>>,
  withoutHypervisor: (params: ParamsOf<M>) => Promise<ResultOf<M> | undefined> = async () => undefined,
): Handler {
  return {
    method,
    run: (params, call) => run(params as ParamsOf<M>, call),
    withoutHypervisor: (params) => withoutHypervisor(params as ParamsOf<M>),
  };
}
