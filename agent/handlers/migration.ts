/**
 * Live migration as one host sees it. The domain is never destroyed here by mistake: what is cleared is cleared only after
 * the hypervisor said that the domain is not here.
 */
import {
  isAtRest,
  type DomainReport,
  migrationAbandon,
  migrationCancel,
  migrationDeparture,
  migrationForget,
  migrationPrepare,
  migrationReady,
  migrationSend,
} from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Departures } from './departures.ts';
import { handler, type Handler, type HostContext } from './handler.ts';
import { Sends } from './sends.ts';
import { requireLeases } from './liveness.ts';
import { clearVm, resolveVm } from './vm-parts.ts';

export function migrationHandlers(host: HostContext): Handler[] {
  const { hypervisor, storage } = host.drivers;
  const sends = new Sends(host.clock);
  const departures = new Departures(host.clock);
  hypervisor.watch(({ domain, removed }) => {
    if (removed && sends.isSending(domain.vmId)) departures.note(domain.vmId);
  });
  const locked = <T>(vmId: string, work: () => Promise<T>): Promise<T> => host.locks.run(`vm:${vmId}`, work);
  const findHere = async (vmId: string): Promise<DomainReport | undefined> =>
    (await hypervisor.list()).find((domain) => domain.vmId === vmId);
  /** @throws KvasirError `wrong-state` */
  const requireGone = async (vmId: string, action: string): Promise<void> => {
    const domain = await findHere(vmId);
    if (domain === undefined) return;
    throw new KvasirError('wrong-state', {
      action,
      kind: 'vm',
      name: domain.name,
      state: `${domain.state} on this host`,
    });
  };
  /** It runs elsewhere: a definition at rest is one that was left here, and must not pass for the domain's arrival. */
  const clearAtRest = async (vmId: string): Promise<void> => {
    const there = await findHere(vmId);
    if (there !== undefined && isAtRest(there.state)) await hypervisor.undefine(vmId);
  };
  return [
    handler(migrationPrepare, ({ vm, copyVolumes }, call) =>
      locked(vm.vmId, async () => {
        await requireLeases(host, vm);
        departures.forget(vm.vmId);
        host.drivers.liveness.forget(vm.vmId);
        await clearAtRest(vm.vmId);
        for (const volume of copyVolumes) await storage.createVolume({ ...volume, from: null }, call);
        // The guest has its functions elsewhere; here they carry when the hypervisor plugs them in.
        const domain = await resolveVm(host, vm, 'rests');
        await hypervisor.prepareIncoming(domain);
        const functions = domain.nics.flatMap(({ spec, virtualFunction }) =>
          virtualFunction === undefined ? [] : [{ nicId: spec.nicId, pciAddress: virtualFunction.pciAddress }],
        );
        return { ...hypervisor.migrationTarget(), ...(functions.length > 0 ? { functions } : {}) };
      }),
    ),
    handler(migrationReady, async ({ poolIds }) => {
      await requireLeases(host, { disks: poolIds.map((poolId) => ({ poolId })) });
      return {};
    }),
    handler(migrationSend, (request, { signal, progress }) =>
      sends.run(request.vmId, signal, (either) =>
        locked(request.vmId, () => hypervisor.sendMigration(request, { signal: either, progress })),
      ),
    ),
    // Without the lock, which the send holds that is to end.
    handler(migrationCancel, async ({ vmId }) => {
      await sends.end(vmId);
      return { outcome: await hypervisor.cancelMigration(vmId) };
    }),
    handler(migrationDeparture, async ({ vmId }) => {
      await requireGone(vmId, 'tell the departure of');
      departures.note(vmId);
      return { awayMs: departures.awayMs(vmId) };
    }),
    handler(migrationAbandon, ({ vmId, copyVolumes }) =>
      locked(vmId, async () => {
        const arrived = await hypervisor.abandonIncoming(vmId);
        if (!arrived) {
          await clearVm(host, vmId);
          for (const volume of copyVolumes) await storage.deleteVolume(volume);
        }
        return { arrived };
      }),
    ),
    handler(migrationForget, ({ vmId, copiedVolumes }) =>
      locked(vmId, async () => {
        await requireGone(vmId, 'forget');
        departures.forget(vmId);
        await clearVm(host, vmId);
        for (const volume of copiedVolumes) await storage.deleteVolume(volume);
        return {};
      }),
    ),
  ];
}
