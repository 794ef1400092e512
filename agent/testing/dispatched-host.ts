/** A host that is asked through its dispatcher, and good words to ask it with. */
import type { Progress } from '@kvasir/api/agent/link.ts';
import { emptyOutline, type SliceOutline } from '@kvasir/api/agent/slice-outline.ts';
import { memoryLinkPair } from '@kvasir/api/agent/wire/memory-link.ts';
import { Peer } from '@kvasir/api/agent/wire/peer.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Dispatcher } from '../dispatcher.ts';
import { flatSlice } from '../drivers/flat-slice.ts';
import { allHandlers } from '../handlers/all.ts';
import { MemoryJournal } from '../journal/journal.ts';
import { MemoryServed } from '../journal/served.ts';
import { MemoryVmMetadata } from '../journal/vm-metadata.ts';
import { MemoryVmSpecs } from '../journal/vm-specs.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { noLog } from '../log.ts';
import { StartNotes } from '../start-notes.ts';
import { fakeDrivers } from './fake-drivers.ts';

const ids = Array.from({ length: 9 }, (_, index) => `00000000-0000-4000-8000-00000000000${index}`);
export const [vmId, poolId, volumeId, imageId, nicId, networkId, otherVm] = ids as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];
export const disk = { poolId, volumeId, format: 'qcow2', device: 'vda', bus: 'virtio', readOnly: false };
export function flatOutline(): SliceOutline {
  const [network] = flatSlice(networkId).networks;
  const { remotePorts: _ports, memberVteps: _vteps, ...facts } = network!;
  return { ...emptyOutline, networks: [{ ...facts, members: [] }] };
}

export const nic = { nicId, networkId, macAddress: '52:54:00:00:00:01', model: 'virtio', mtu: 1500 };
export const vm = {
  vmId,
  name: 'web',
  projectId: poolId,
  cpus: 1,
  maxCpus: 1,
  memoryMib: 128,
  maxMemoryMib: 128,
  cpuModel: 'maximum',
  firmware: 'bios',
  bootOrder: ['disk'],
  disks: [disk],
  nics: [nic],
  cloudInit: { instanceId: 'i', userData: '#secret' },
};

export const goodSend = {
  vmId,
  connectUri: 'fake://',
  migrationHost: 'x',
  copyVolumeIds: [],
  autoConverge: true,
  maxDowntimeMs: null,
  bandwidthMibps: null,
};

/** A hypervisor that is silent when a test says so. */
export class FakeSilence {
  isSilent = false;
  readonly #error = new KvasirError('hypervisor-silent', { seconds: 20 });
  #fell = Promise.withResolvers<never>();

  fall(): void {
    this.isSilent = true;
    this.#fell.promise.catch(() => {});
    this.#fell.reject(this.#error);
  }

  answer(): void {
    this.isSilent = false;
    this.#fell = Promise.withResolvers();
  }

  requireAnswers(): void {
    if (this.isSilent) throw this.#error;
  }

  async unlessSilent<T>(call: Promise<T>): Promise<T> {
    return await Promise.race([call, this.#fell.promise]);
  }
}

/** The whole way of a request but the link: the dispatcher, all handlers, fake drivers. */
export function host(before?: { readonly journal: MemoryJournal; readonly bootId: string }) {
  const drivers = fakeDrivers();
  drivers.storage.volumes.add(volumeId);
  const journal = before?.journal ?? new MemoryJournal();
  const progress: Progress[] = [];
  const oldAnswers: string[] = [];
  const specs = new MemoryVmSpecs();
  const identity = { hostId: ids[8]!, name: 'h1', address: '127.0.0.1' };
  const context = {
    identity,
    drivers,
    specs,
    served: new MemoryServed(),
    metadata: new MemoryVmMetadata(),
    locks: new KeyedLock(),
    starts: new StartNotes(drivers.liveness),
    clock: systemClock,
    hostname: 'h1',
    bootId: 'boot-1',
    versions: {},
  };
  const silence = new FakeSilence();
  const handlers = allHandlers(context);
  const dispatcher = new Dispatcher({
    handlers,
    journal,
    bootId: before?.bootId ?? 'first boot',
    clock: systemClock,
    log: noLog,
    hypervisor: silence,
    sendProgress: (report) => progress.push(report),
    onOldAnswer: (about) => oldAnswers.push(about),
  });
  const { streams } = new Peer(memoryLinkPair()[0], systemClock, 'odd', {
    request: async () => null,
    notification: () => {},
  });
  let keys = 0;
  return {
    drivers,
    journal,
    silence,
    progress,
    oldAnswers,
    handlers,
    streams,
    specs,
    query: (method: string, params: unknown) => dispatcher.request(method, params, streams),
    change: (method: string, params: unknown, key = `key-${(keys += 1)}`, epoch = 1) =>
      dispatcher.request(method, { key, epoch, params }, streams),
  };
}
