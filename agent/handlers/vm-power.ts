/** Starting, stopping and pausing. A stop that is asked for at once overtakes one that waits for the guest. */
import { vmPause, vmReset, vmResume, vmStart, vmStop, vmSuspend } from '@kvasir/api/agent/vm.ts';
import { handler, type Handler, type HostContext } from './handler.ts';
import { getReady } from './liveness.ts';
import { plugForStart } from './vm-parts.ts';

export function vmPowerHandlers(host: HostContext): Handler[] {
  const { hypervisor } = host.drivers;
  const stops = new Map<string, AbortController>();
  const locked = <T>(vmId: string, work: () => Promise<T>): Promise<T> => host.locks.run(`vm:${vmId}`, work);
  return [
    handler(vmStart, ({ vmId, paused }) =>
      locked(vmId, async () => {
        const vm = host.specs.get(vmId);
        try {
          await getReady(host, vm, async () => {
            await plugForStart(host, vmId);
            await host.starts.begin(vmId, vm?.disks.map(({ poolId }) => poolId) ?? []);
          });
        } catch (error) {
          await host.starts.answered(vmId);
          throw error;
        }
        host.drivers.liveness.forget(vmId);
        try {
          const state = await hypervisor.start(vmId, { paused });
          await host.starts.answered(vmId);
          return { state };
        } finally {
          // An error may be the loss of the answer: the hypervisor may be at it still.
          host.starts.givenUp(vmId);
        }
      }),
    ),
    handler(vmStop, ({ vmId, timeoutMs }, { signal }) => {
      if (timeoutMs === 0) stops.get(vmId)?.abort('force');
      return locked(vmId, async () => {
        const force = new AbortController();
        stops.set(vmId, force);
        try {
          return { state: await hypervisor.stop(vmId, timeoutMs, AbortSignal.any([signal, force.signal])) };
        } finally {
          stops.delete(vmId);
        }
      });
    }),
    handler(vmReset, ({ vmId }) => locked(vmId, async () => ({ state: await hypervisor.reset(vmId) }))),
    handler(vmPause, ({ vmId }) => locked(vmId, async () => ({ state: await hypervisor.pause(vmId) }))),
    handler(vmResume, ({ vmId }) => locked(vmId, async () => ({ state: await hypervisor.resume(vmId) }))),
    handler(vmSuspend, ({ vmId }) => locked(vmId, async () => ({ state: await hypervisor.suspend(vmId) }))),
  ];
}
