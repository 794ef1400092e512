/** Powers a domain off at once, to take its start back: nothing to do for one that is not there (any more). */
import { vmStop } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { StepContext } from './kind.ts';

export async function powerOff({ call }: Pick<StepContext<unknown>, 'call'>, hostId: string, vmId: string) {
  try {
    await call(hostId, vmStop, { vmId, timeoutMs: 0 });
  } catch (error) {
    if (!(error instanceof KvasirError) || error.code !== 'not-found') throw error;
  }
}
