/**
 * Hosts in memory, for tests of tasks: they keep to the agent contract (answer a finished key from their journal, 'make it so')
 * and watch at every change that no VM runs on two of them. Knobs lose answers, refuse, or forget keys.
 */
import { PassThrough, type Writable } from 'node:stream';
import type { AgentMethod, ParamsOf, ResultOf } from '@kvasir/api/agent/method.ts';
import { imageOpen } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { CallOptions, HostCalls } from '../tasks/kind.ts';
import { fakeMethods } from './fake-methods.ts';

export type FakeDomainState = 'stopped' | 'running' | 'paused' | 'suspended' | 'crashed';

export interface FakeDomain {
  state: FakeDomainState;
  volumes: Set<string>;
  nics: Set<string>;
  incoming: boolean;
}

export class FakeHost {
  readonly domains = new Map<string, FakeDomain>();
  /** Files of local pools: volume id -> bytes. */
  readonly volumes = new Map<string, number>();
  readonly images = new Set<string>();
  readonly finished = new Map<string, unknown>();

  clear(): void {
    this.domains.clear();
    this.volumes.clear();
    this.images.clear();
    this.finished.clear();
  }
}

/** What shall happen to the call with this number (from 0); counted over all hosts. */
export type CallFate = (call: {
  readonly index: number;
  readonly hostId: string;
  readonly method: string;
  readonly key: string;
}) => Fate;
export type Fate =
  | { readonly kind: 'work' }
  /** Thrown instead of working, or after having worked. */
  | { readonly kind: 'throw'; readonly error: KvasirError; readonly after: boolean };

export class FakeHosts implements HostCalls {
  readonly hosts = new Map<string, FakeHost>();
  /** Files of the shared pool. */
  readonly sharedVolumes = new Map<string, number>();
  readonly sharedImages = new Set<string>();
  readonly sharedPools = new Set<string>();
  /** Agents without memory of finished keys: every change is worked twice. */
  forgetful = false;
  fate: CallFate = () => ({ kind: 'work' });
  /** Guests that take no other size while they run. */
  rigidGuests = false;
  /** What the last resize of a VM left in its definition. */
  readonly definedCpus = new Map<string, number>();
  /** Called when a call has begun. */
  onCall: (method: string) => Promise<void> = async () => {};
  /** Called when a call has done its work, before its answer is heard. */
  onAnswer: (method: string, signal?: AbortSignal) => Promise<void> = async () => {};
  calls = 0;
  /** VMs that a source goes on sending although nobody waits for it. */
  readonly underWay = new Set<string>();
  /** Since a VM left its source. */
  awayMs = 0;
  readonly #violations: string[] = [];
  readonly #prepared: { readonly hostId: string; readonly everywhere: boolean }[] = [];

  host(id: string): FakeHost {
    const known = this.hosts.get(id) ?? new FakeHost();
    this.hosts.set(id, known);
    return known;
  }

  /** What must never be and was, ever. */
  get violations(): readonly string[] {
    return this.#violations;
  }

  violate(what: string): void {
    this.#violations.push(what);
  }

  volumesOf(hostId: string, poolId: string): Map<string, number> {
    return this.sharedPools.has(poolId) ? this.sharedVolumes : this.host(hostId).volumes;
  }

  imagesOf(hostId: string, poolId: string): Set<string> {
    return this.sharedPools.has(poolId) ? this.sharedImages : this.host(hostId).images;
  }

  async call<M extends AgentMethod>(
    hostId: string,
    method: M,
    params: ParamsOf<M>,
    options: CallOptions = {},
  ): Promise<ResultOf<M>> {
    const { key } = options;
    if (method.kind === 'change' && key === undefined) throw new Error(`${method.name} needs a key`);
    this.#watchPlugging(hostId, method.name, params);
    const result = await this.fated(hostId, method.name, options, () => {
      if (options.signal?.aborted) throw new KvasirError('cancelled');
      options.onProgress?.({ percent: 50, bytesDone: 1, bytesTotal: 2, downtimeMs: null });
      return this.#work(hostId, method.name, params, key);
    });
    return result as ResultOf<M>;
  }

  async openImage(hostId: string, { imageId, poolId }: ParamsOf<typeof imageOpen>) {
    return await this.fated(hostId, imageOpen.name, {}, () => {
      if (!this.imagesOf(hostId, poolId).has(imageId))
        throw new KvasirError('not-found', { kind: 'image', id: imageId });
      const content = new PassThrough();
      content.end('content');
      return { content, sizeBytes: 7 };
    });
  }

  async openStream(): Promise<{ readonly streamId: number; readonly content: Writable }> {
    const content = new PassThrough();
    content.resume();
    return { streamId: 2, content };
  }

  /** Hosts whose part of the switch was seen to, in order. */
  readonly switched: { readonly hostId: string; readonly everywhere: boolean }[] = [];

  async switchReady(hostId: string, { everywhere }: { readonly everywhere: boolean }): Promise<void> {
    this.switched.push({ hostId, everywhere });
    this.#prepared.push({ hostId, everywhere });
  }

  switchChanged(): void {}

  /** Policy comes before the VM: each plugging in was prepared, and a move everywhere. */
  #watchPlugging(hostId: string, method: string, params: unknown): void {
    const { vm, nic } = params as { readonly vm?: { readonly nics: readonly unknown[] }; readonly nic?: unknown };
    const plugs = ['vm.define', 'migration.prepare', 'vm.attachNic'].includes(method);
    if (!plugs || (nic === undefined && (vm?.nics.length ?? 0) === 0)) return;
    const everywhere = method === 'migration.prepare';
    const at = this.#prepared.findIndex((one) => one.hostId === hostId && one.everywhere === everywhere);
    if (at < 0) this.#violations.push(`${method} came to ${hostId} before its part of the switch`);
    else this.#prepared.splice(at, 1);
  }

  /** Counts a call and lets happen to it what is to. */
  async fated<T>(
    hostId: string,
    method: string,
    { key = '', signal }: Pick<CallOptions, 'key' | 'signal'>,
    work: () => T | Promise<T>,
  ): Promise<T> {
    const fate = this.fate({ index: this.calls, hostId, method, key });
    this.calls += 1;
    await this.onCall(method);
    if (fate.kind === 'throw' && !fate.after) throw fate.error;
    const result = await work();
    await this.onAnswer(method, signal);
    if (fate.kind === 'throw') throw fate.error;
    return result;
  }

  #work(hostId: string, method: string, params: unknown, key: string | undefined): unknown {
    const host = this.host(hostId);
    if (key !== undefined && host.finished.has(key) && !this.forgetful) return host.finished.get(key);
    const handler = fakeMethods[method];
    if (handler === undefined) throw new Error(`The fake host knows no ${method}`);
    let result = handler(this, hostId, params as never);
    if (this.forgetful) result = handler(this, hostId, params as never);
    if (key !== undefined) host.finished.set(key, result);
    this.#watch(method);
    return result;
  }

  #watch(method: string): void {
    const seen = new Set<string>();
    for (const host of this.hosts.values()) {
      for (const [id, domain] of host.domains) {
        if ((domain.state !== 'running' && domain.state !== 'paused') || domain.incoming) continue;
        if (seen.has(id)) this.violate(`${id} runs twice after ${method}`);
        seen.add(id);
      }
    }
  }
}
