/** Domains: their definition, devices, screen and consoles. */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  vmAttachDisk,
  vmAttachNic,
  vmConsole,
  vmDefine,
  vmDetachDisk,
  vmDetachNic,
  vmList,
  vmResize,
  vmResizeDisk,
  vmScreenshot,
  type VmSpec,
  vmUndefine,
} from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { handler, type Handler, type HostContext } from './handler.ts';
import { requireLeases } from './liveness.ts';
import { clearVm, locateDisk, plugNic, resolveVm, unplugPorts } from './vm-parts.ts';

export function vmHandlers(host: HostContext): Handler[] {
  const { hypervisor, network } = host.drivers;
  const locked = <T>(vmId: string, work: () => Promise<T>): Promise<T> => host.locks.run(`vm:${vmId}`, work);
  const remember = async (vmId: string, change: (spec: VmSpec) => VmSpec): Promise<void> => {
    const spec = host.specs.get(vmId);
    if (spec !== undefined) await host.specs.set(change(spec));
  };
  return [
    handler(vmList, async () => ({ domains: await hypervisor.list() })),
    handler(vmDefine, ({ vm }) =>
      locked(vm.vmId, async () => {
        const state = await hypervisor.define(await resolveVm(host, vm));
        // A running domain may still use the port of a NIC that is gone from the spec.
        if (state === 'stopped') await unplugPorts(host, vm.vmId, vm.nics);
        return { state };
      }),
    ),
    handler(
      vmUndefine,
      ({ vmId }) =>
        locked(vmId, async () => {
          await ignoreMissing(hypervisor.undefine(vmId));
          await clearVm(host, vmId);
          return {};
        }),
      // What it is asked for is that the VM does not run here, and that it can be told. What is left here is cleared as leftovers are.
      async ({ vmId }) => {
        const ended = host.drivers.liveness.endedBecause(vmId) !== null;
        return ended && !(await host.starts.isPending(vmId)) ? {} : undefined;
      },
    ),
    handler(vmResize, ({ vmId, ...size }) =>
      locked(vmId, async () => {
        const answer = await hypervisor.resize(vmId, size);
        await remember(vmId, (spec) => ({ ...spec, ...size }));
        return answer;
      }),
    ),
    handler(vmAttachDisk, ({ vmId, disk }) =>
      locked(vmId, async () => {
        await requireLeases(host, { disks: [disk] });
        // Remembered first: should this pool be lost, the VM has to be ended.
        await remember(vmId, (spec) => ({ ...spec, disks: [...withoutDisk(spec, disk.volumeId), disk] }));
        await hypervisor.attachDisk(vmId, await locateDisk(host, disk));
        return {};
      }),
    ),
    handler(vmDetachDisk, ({ vmId, volumeId }, { signal }) =>
      locked(vmId, async () => {
        await ignoreMissing(hypervisor.detachDisk(vmId, volumeId, signal));
        await remember(vmId, (spec) => ({ ...spec, disks: withoutDisk(spec, volumeId) }));
        return {};
      }),
    ),
    handler(vmResizeDisk, ({ vmId, volumeId, sizeBytes }) =>
      locked(vmId, async () => {
        await hypervisor.resizeDisk(vmId, volumeId, sizeBytes);
        return {};
      }),
    ),
    handler(vmAttachNic, ({ vmId, nic }) =>
      locked(vmId, async () => {
        await remember(vmId, (spec) => ({ ...spec, nics: [...withoutNic(spec, nic.nicId), nic] }));
        await hypervisor.attachNic(vmId, await plugNic(host, vmId, nic));
        return {};
      }),
    ),
    handler(vmDetachNic, ({ vmId, nicId }, { signal }) =>
      locked(vmId, async () => {
        await ignoreMissing(hypervisor.detachNic(vmId, nicId, signal));
        await network.detachPort(nicId);
        await remember(vmId, (spec) => ({ ...spec, nics: withoutNic(spec, nicId) }));
        return {};
      }),
    ),
    handler(vmScreenshot, async ({ vmId }, { streams }) => {
      const picture = await hypervisor.screenshot(vmId);
      const { streamId, stream } = streams.open();
      stream.resume();
      stream.end(picture);
      return { streamId };
    }),
    handler(vmConsole, async ({ vmId, kind }, { streams }) => {
      const console = await hypervisor.openConsole(vmId, kind);
      const { streamId, stream } = streams.open();
      joinConsole(console, stream);
      return { streamId };
    }),
  ];
}

function withoutNic(spec: VmSpec, nicId: string): VmSpec['nics'] {
  return spec.nics.filter((nic) => nic.nicId !== nicId);
}

function withoutDisk(spec: VmSpec, volumeId: string): VmSpec['disks'] {
  return spec.disks.filter((disk) => disk.volumeId !== volumeId);
}

/** A domain or device that is gone already is what the caller wants. */
async function ignoreMissing(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof KvasirError && error.code === 'not-found')) throw error;
  }
}

/** Whichever side ends, the other ends too, after what was under way to the viewer has arrived. */
function joinConsole(console: Duplex, stream: Duplex): void {
  console.on('error', () => {});
  pipeline(console, stream).then(
    () => console.destroy(),
    (error: Error) => stream.destroy(error),
  );
  stream.pipe(console, { end: false });
  stream.once('end', () => console.destroy());
  stream.once('close', () => console.destroy());
}
