/** A domain's state in our words, and waiting for one. */
import type { DomainState } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { StateAndReason } from '@kvasir/libvirt/states.ts';

export interface Seen {
  readonly state: DomainState;
  /** In libvirt's words, e.g. `shutdown`, `destroyed`, `user`; null when it says nothing of use. */
  readonly reason: string | null;
}

/** `saved`: a managed save image exists. A domain that is being shut down still runs; a guest asleep (S3) counts as paused. */
export function seenState({ state, reason }: StateAndReason, saved: boolean): Seen {
  const because = reason === 'unknown' ? null : reason;
  switch (state) {
    case 'running':
    case 'blocked':
    case 'shutdown':
      return { state: reason === 'crashed' ? 'crashed' : 'running', reason: because };
    case 'paused':
    case 'pmsuspended':
      return { state: reason === 'crashed' ? 'crashed' : 'paused', reason: because };
    case 'crashed':
      return { state: 'crashed', reason: because };
    case 'shutoff':
    case 'nostate':
    case 'unknown':
      if (saved) return { state: 'suspended', reason: 'saved' };
      return { state: reason === 'crashed' || reason === 'failed' ? 'crashed' : 'stopped', reason: because };
  }
}

export async function readState(client: LibvirtClient, vmId: string): Promise<Seen> {
  const raw = await client.domain.state(vmId);
  return seenState(raw, raw.state === 'shutoff' && (await client.domain.hasManagedSave(vmId)));
}

/** libvirt is asked now and then, so that a lost event costs time only. */
const pollMs = 500;

/** Resolves true once `done` holds, false after `timeoutMs`, also when `done` does not answer; looks after each event of the domain. */
export async function waitFor(
  client: LibvirtClient,
  vmId: string,
  done: () => Promise<boolean>,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + options.timeoutMs;
  const over = Promise.withResolvers<false>();
  const end = setTimeout(() => over.resolve(false), options.timeoutMs);
  let wake: () => void = () => undefined;
  const onEvent = (event: { readonly uuid: string }): void => {
    if (event.uuid === vmId) wake();
  };
  const onAbort = (): void => {
    over.resolve(false);
    wake();
  };
  client.on('event', onEvent);
  options.signal?.addEventListener('abort', onAbort);
  try {
    for (;;) {
      const turn = Promise.withResolvers<void>();
      wake = turn.resolve;
      if (await Promise.race([done(), over.promise])) return true;
      if (options.signal?.aborted) throw new KvasirError('cancelled');
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      const timer = setTimeout(turn.resolve, Math.min(pollMs, leftMs));
      await turn.promise;
      clearTimeout(timer);
    }
  } finally {
    clearTimeout(end);
    client.off('event', onEvent);
    options.signal?.removeEventListener('abort', onAbort);
  }
}
