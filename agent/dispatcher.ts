/**
 * Takes the manager's requests: checks them, runs the handler, and sees to it that a change happens once.
 *
 * Invariants: a change with an epoch older than the newest seen is refused (`stale-epoch`); a newer epoch is on disk before
 * its first change runs; a finished key is answered from the journal, a running one joins the run; an answer
 * that ended with an earlier boot of the host is none; a result is on disk
 * before the manager hears of it. Changes go on when the link breaks, and when the hypervisor that they need falls silent: their results
 * wait in the journal.
 */
import { agentMethods } from '@kvasir/api/agent/methods.ts';
import { CancelCall, type Progress } from '@kvasir/api/agent/link.ts';
import type { Streams } from '@kvasir/api/agent/wire/streams.ts';
import { closed } from '@kvasir/api/schema.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Handler, HandlerCall, ProgressReport } from './handlers/handler.ts';
import type { Journal } from './journal/journal.ts';
import type { HypervisorWatch } from './hypervisor-watch.ts';
import type { Log } from './log.ts';

interface RunningChange {
  readonly method: string;
  readonly result: Promise<unknown>;
  readonly abort: AbortController;
}

export interface DispatcherOptions {
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly journal: Journal;
  /** Of the host, now. */
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Left out: it always answers. */
  readonly hypervisor?: Pick<HypervisorWatch, 'isSilent' | 'requireAnswers' | 'unlessSilent'>;
  readonly sendProgress: (progress: Progress) => void;
  /** A call about this VM was answered as it was answered before: much may have happened to the VM since. */
  readonly onOldAnswer?: (vmId: string) => void;
}

const progressIntervalMs = 250;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #running = new Map<string, RunningChange>();

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  async request(method: string, params: unknown, streams: Streams): Promise<unknown> {
    if (method === 'call.cancel') return this.#cancel(params);
    const handler = this.#options.handlers.get(method);
    if (handler === undefined) throw new KvasirError('unsupported', { reason: `This agent does not know ${method}` });
    if (handler.method.kind === 'query') {
      check(method, paramsCheck(handler), params);
      this.#requireHypervisor(handler);
      return this.#unlessSilent(
        handler,
        this.#run(handler, params, { signal: new AbortController().signal, progress: () => {}, streams }),
      );
    }
    check(method, envelopeCheck(handler), params);
    const { key, epoch, params: inner } = params as { key: string; epoch: number; params: unknown };
    return this.#change(handler, key, epoch, inner, streams);
  }

  /** Waits until no change runs, or `ms` are over. */
  async settle(ms: number): Promise<void> {
    const all = Promise.allSettled([...this.#running.values()].map((change) => change.result));
    await Promise.race([all, this.#options.clock.sleep(ms)]);
  }

  async #change(handler: Handler, key: string, epoch: number, params: unknown, streams: Streams): Promise<unknown> {
    const { journal } = this.#options;
    const method = handler.method.name;
    this.#refuseStale(epoch);
    if (epoch > journal.epoch) {
      await journal.raiseEpoch(epoch);
      this.#refuseStale(epoch);
    }
    const substitute = await this.#withoutHypervisor(handler, params);
    if (substitute !== undefined) return substitute;
    const finished = this.#finished(handler, key);
    const { vmId } = params as { readonly vmId?: string };
    if (finished !== undefined && vmId !== undefined) this.#options.onOldAnswer?.(vmId);
    const known = finished ?? this.#running.get(key);
    if (known !== undefined) {
      if (known.method !== method) {
        throw new KvasirError('invalid-request', { reason: `key ${key} belongs to ${known.method}, not to ${method}` });
      }
      return this.#unlessSilent(handler, Promise.resolve(known.result));
    }
    this.#requireHypervisor(handler);
    const abort = new AbortController();
    const result = this.#runOnce(handler, key, params, { abort, streams });
    // The requester awaits it too; this keeps a failure from counting as unhandled when it does not any more.
    result.catch(() => {});
    this.#running.set(key, { method, result, abort });
    return this.#unlessSilent(handler, result);
  }

  async #withoutHypervisor({ withoutHypervisor }: Handler, params: unknown): Promise<unknown> {
    return this.#options.hypervisor?.isSilent === true ? await withoutHypervisor?.(params) : undefined;
  }

  /** What is not begun cannot come through when nobody counts on it any more. */
  #requireHypervisor({ needsHypervisor }: Handler): void {
    if (needsHypervisor === true) this.#options.hypervisor?.requireAnswers();
  }

  async #unlessSilent<T>({ needsHypervisor }: Handler, call: Promise<T>): Promise<T> {
    const { hypervisor } = this.#options;
    return await (needsHypervisor === true && hypervisor !== undefined ? hypervisor.unlessSilent(call) : call);
  }

  /** A domain that was started before the host was booted does not run any more, whatever was answered then. */
  #finished({ method }: Handler, key: string) {
    const call = this.#options.journal.find(key);
    const ended = method.endsWithBoot && call?.method === method.name && call.bootId !== this.#options.bootId;
    return ended ? undefined : call;
  }

  #refuseStale(epoch: number): void {
    const known = this.#options.journal.epoch;
    if (epoch < known) throw new KvasirError('stale-epoch', { epoch, known });
  }

  async #runOnce(
    handler: Handler,
    key: string,
    params: unknown,
    { abort, streams }: { readonly abort: AbortController; readonly streams: Streams },
  ): Promise<unknown> {
    try {
      // The caller registers the run before the first step of it.
      await Promise.resolve();
      const progress = this.#progress(key);
      const result = await this.#run(handler, params, { signal: abort.signal, progress, streams });
      const { journal, bootId } = this.#options;
      await journal.record({ key, method: handler.method.name, result, bootId });
      return result;
    } finally {
      this.#running.delete(key);
    }
  }

  async #run(handler: Handler, params: unknown, call: HandlerCall): Promise<unknown> {
    const { name } = handler.method;
    try {
      const result = await handler.run(params, call);
      if (!resultCheck(handler).Check(result))
        throw new Error(`the driver's answer to ${name} is not what the contract says`);
      return result;
    } catch (error) {
      if (error instanceof KvasirError) throw error;
      this.#options.log(`${name} failed`, error);
      throw new KvasirError('host-failed', { reason: error instanceof Error ? error.message : String(error) });
    }
  }

  #progress(key: string): (report: ProgressReport) => void {
    const { clock, sendProgress } = this.#options;
    let nextAt = 0;
    return ({ percent, bytesDone, bytesTotal, downtimeMs = null }) => {
      const now = clock.now();
      if (now < nextAt && percent < 100) return;
      nextAt = now + progressIntervalMs;
      sendProgress({
        key,
        percent: Math.min(100, Math.max(0, Math.floor(percent))),
        bytesDone,
        bytesTotal,
        downtimeMs,
      });
    };
  }

  #cancel(params: unknown): Record<string, never> {
    check('call.cancel', cancelCheck, params);
    this.#running.get((params as { key: string }).key)?.abort.abort(new KvasirError('cancelled'));
    return {};
  }
}

interface Checker {
  Check(value: unknown): boolean;
  Errors(value: unknown): Iterable<{ readonly instancePath: string; readonly message: string }>;
}

function check(method: string, checker: Checker, value: unknown): void {
  if (checker.Check(value)) return;
  const [first] = checker.Errors(value);
  throw new KvasirError('invalid-request', {
    reason: `${method}: ${first?.instancePath ?? ''} ${first?.message ?? 'is wrong'}`,
  });
}

const cancelCheck: Checker = Compile(CancelCall);

/** Compiled when first used, once for all agents of the process. */
function compiled(schemaOf: (handler: Handler) => TSchema): (handler: Handler) => Checker {
  const checkers = new Map<string, Checker>();
  return (handler) => {
    let checker = checkers.get(handler.method.name);
    if (checker === undefined) {
      checker = Compile(schemaOf(handler));
      checkers.set(handler.method.name, checker);
    }
    return checker;
  };
}

const paramsCheck = compiled((handler) => handler.method.params);
const resultCheck = compiled((handler) => handler.method.result);
const envelopeCheck = compiled((handler) =>
  closed({
    key: Type.String({ minLength: 1, maxLength: 512 }),
    epoch: Type.Integer({ minimum: 0 }),
    params: handler.method.params,
  }),
);

/** Methods of the contract that a set of handlers lacks. */
export function missingHandlers(handlers: ReadonlyMap<string, Handler>): string[] {
  return agentMethods.map((method) => method.name).filter((name) => !handlers.has(name));
}
