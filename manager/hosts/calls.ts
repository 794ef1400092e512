/**
 * Calls to agents, for tasks and pushes. A change is wrapped with its key and the leader's epoch.
 *
 * When the link breaks in the middle, a keyed change is sent again on the next link: the agent's journal answers it if it
 * ended, or lets it join the run; but only under the epoch under which it began. A manager that leads anew does not know what
 * another one made of it meanwhile. A call that names a stream is bound to its link and is not sent again.
 */
import { imageImport, type imageOpen } from '@kvasir/api/agent/storage.ts';
import type { Progress } from '@kvasir/api/agent/link.ts';
import type { AgentMethod, ParamsOf, ResultOf } from '@kvasir/api/agent/method.ts';
import { LinkClosedError } from '@kvasir/api/agent/wire/link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { HostLink } from './host-link.ts';
import type { LinkHub } from './link-hub.ts';
import { readResult } from './reports.ts';
import { HostStreams } from './streams.ts';
import type { SwitchPushes } from './switch-pushes.ts';

export interface CallOptions {
  /** `task/step…`; needed for changes that tasks make. */
  readonly key?: string;
  /** Aborting asks the agent to stop the change; the call then ends as the agent says. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Omit<Progress, 'key'>) => void;
  /** Limit of the whole call; default: none for long changes (while the host is connected), else 60 s. */
  readonly timeoutMs?: number;
  /** How long to wait for a host that is not connected; default 5 s. */
  readonly reconnectMs?: number;
  /** Only on this link: what is said to the host of this moment may be wrong for the one that comes back. */
  readonly link?: HostLink;
}

const shortCallMs = 60_000;
const defaultReconnectMs = 5000;
const cancelTimeoutMs = 10_000;

export class HostCalls {
  readonly #hub: LinkHub;
  readonly #epoch: () => number | undefined;
  readonly #newKey: () => string;
  #switches: Pick<SwitchPushes, 'ready' | 'nudge'> | undefined;

  /** `newKey` makes keys for changes without one. */
  constructor(hub: LinkHub, epoch: () => number | undefined, newKey: () => string) {
    this.#hub = hub;
    this.#epoch = epoch;
    this.#newKey = newKey;
  }

  /**
   * @throws KvasirError host-unreachable or timeout when it is unknown whether a change took effect (repeat it with its key),
   * not-leader, or what the agent answered
   */
  async call<M extends AgentMethod>(
    hostId: string,
    method: M,
    params: ParamsOf<M>,
    options: CallOptions = {},
  ): Promise<ResultOf<M>> {
    const key = options.key ?? this.#newKey();
    const epoch = this.#epoch();
    for (;;) {
      if (options.link !== undefined && this.#hub.find(hostId) !== options.link)
        throw await this.#hub.unreachable(hostId);
      const link = await this.#hub
        .wait(hostId, options.reconnectMs ?? defaultReconnectMs, options.signal)
        .catch((error: unknown) => {
          throw options.signal?.aborted ? new KvasirError('cancelled', {}, undefined, { cause: error }) : error;
        });
      try {
        return await this.#once(link, method, params, { ...options, key, epoch });
      } catch (error) {
        if (!(error instanceof LinkClosedError)) throw error;
        if (namesStream(method, params)) throw new KvasirError('host-unreachable', { host: hostId });
      }
    }
  }

  /** Where `switchReady` and `switchChanged` lead; they need these calls themselves. */
  leadTo(switches: Pick<SwitchPushes, 'ready' | 'nudge'>): void {
    this.#switches = switches;
  }

  /** The host has taken what the database says of the distributed switch now. See `SwitchPushes.ready`. */
  async switchReady(hostId: string, how: { readonly everywhere: boolean }): Promise<void> {
    await this.#switches?.ready(hostId, how);
  }

  switchChanged(): void {
    this.#switches?.nudge();
  }

  /** A stream to this host; name its id in the call that reads it. */
  async openStream(hostId: string, reconnectMs = defaultReconnectMs) {
    const link = await this.#hub.wait(hostId, reconnectMs);
    const { streamId, stream } = link.peer.streams.open();
    stream.resume();
    return { streamId, content: stream };
  }

  /** Reads an image's file. @throws KvasirError host-unreachable, or what the agent answered */
  async openImage(hostId: string, image: ParamsOf<typeof imageOpen>) {
    return await new HostStreams(this.#hub).openImage(hostId, image);
  }

  async #once<M extends AgentMethod>(
    link: HostLink,
    method: M,
    params: ParamsOf<M>,
    { key, epoch, signal, onProgress, timeoutMs }: CallOptions & { readonly key: string; readonly epoch?: number },
  ): Promise<ResultOf<M>> {
    const limit = timeoutMs ?? (method.long ? undefined : shortCallMs);
    const limits = limit === undefined ? {} : { timeoutMs: limit };
    const read = (answer: unknown): ResultOf<M> => {
      try {
        return readResult(method, answer) as ResultOf<M>;
      } catch (error) {
        link.peer.refuse((error as Error).message);
        throw new KvasirError('host-failed', { reason: (error as Error).message }, undefined, { cause: error });
      }
    };
    if (method.kind === 'query') {
      return read(await link.peer.call(method.name, params, { ...limits, ...(signal ? { signal } : {}) }));
    }
    if (epoch === undefined || this.#epoch() !== epoch) throw new KvasirError('not-leader');
    const stopProgress =
      onProgress === undefined
        ? () => {}
        : link.onProgress(key, ({ percent, bytesDone, bytesTotal, downtimeMs }) =>
            onProgress({ percent, bytesDone, bytesTotal, downtimeMs }),
          );
    const deposed = new AbortController();
    const cancel = (): void => {
      if (this.#epoch() !== epoch) {
        // The change is the next leader's now: it goes on, only we do not wait for it.
        deposed.abort(new KvasirError('not-leader'));
        return;
      }
      link.peer.call('call.cancel', { key }, { timeoutMs: cancelTimeoutMs }).catch(() => {});
    };
    signal?.addEventListener('abort', cancel);
    try {
      const answer = link.peer.call(method.name, { key, epoch, params }, { ...limits, signal: deposed.signal });
      if (signal?.aborted) cancel();
      return read(await answer);
    } finally {
      stopProgress();
      signal?.removeEventListener('abort', cancel);
    }
  }
}

function namesStream(method: AgentMethod, params: unknown): boolean {
  return method.name === imageImport.name && 'streamId' in (params as ParamsOf<typeof imageImport>).source;
}
