/**
 * A VM's spec as libvirt XML. Pure: the same spec gives the same text, so a difference on the host means that somebody
 * else changed it.
 *
 * Shape: q35 with spare root ports for hot-plug; every device has a user alias from our own ids, so devices are found again
 * without guessing; disks are opened without the host's cache; NICs open taps that the network driver made; the screen is on
 * a unix socket that libvirt chooses; memory grows by DIMMs, never by ballooning beyond what was placed.
 */
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import type { DomainDisk, DomainNic, DomainSpec } from '../hypervisor.ts';
import { functionElements, standsBy } from './failover-pair.ts';
import { nicAlias } from './nic-alias.ts';
import { type Element, element, writeXml } from './xml.ts';

export const metadataNamespace = 'urn:kvasir:domain:1';
/** Ports for devices that are attached later. */
const spareRootPorts = 10;
const dimmSlots = 8;

export interface XmlOptions {
  readonly virtualization: 'kvm' | 'emulation';
  readonly emulator: string;
}

/** Domain names are for people with virsh; the identity is the UUID. They do not follow a rename. */
export function domainName(vmId: string, name: string): string {
  return `${name}-${vmId.slice(0, 8)}`;
}

export function diskAlias(volumeId: string): string {
  return `ua-disk-${volumeId}`;
}

/** `name`: libvirt's name of a domain that exists already; it cannot change. */
export function domainXml(domain: DomainSpec, options: XmlOptions, name?: string): string {
  const { vm } = domain;
  return writeXml(
    element(
      'domain',
      { type: options.virtualization === 'kvm' ? 'kvm' : 'qemu' },
      element('name', {}, name ?? domainName(vm.vmId, vm.name)),
      element('uuid', {}, vm.vmId),
      element('title', {}, vm.name),
      element('metadata', {}, metadataElement(vm)),
      ...memoryElements(vm),
      vcpuElement(vm),
      element(
        'os',
        vm.firmware === 'uefi' ? { firmware: 'efi' } : {},
        element('type', { arch: 'x86_64', machine: 'q35' }, 'hvm'),
      ),
      element('features', {}, element('acpi'), element('apic')),
      cpuElement(vm, options.virtualization),
      element('clock', { offset: 'utc' }),
      element('on_poweroff', {}, 'destroy'),
      element('on_reboot', {}, 'restart'),
      // A guest that panicked is powered off: libvirt tells of the panic first, and nothing is left that holds its disks.
      element('on_crash', {}, 'destroy'),
      devicesElement(domain, options),
    ),
  );
}

/**
 * The spec without its secrets travels with the domain, also to another host: it is what drift is measured against.
 * libvirt wants the element without prefix when it is set on a domain that exists (`name` 'vm').
 */
export function metadataElement(vm: VmSpec, name: 'kvasir:vm' | 'vm' = 'kvasir:vm'): Element {
  const { cloudInit, ...open } = vm;
  const spec = JSON.stringify({ ...open, cloudInit: cloudInit === null ? null : { instanceId: cloudInit.instanceId } });
  return element(name, name === 'vm' ? {} : { 'xmlns:kvasir': metadataNamespace }, spec);
}

export function memoryElements(vm: VmSpec): Element[] {
  const size = String(vm.memoryMib);
  const memory = [element('memory', { unit: 'MiB' }, size), element('currentMemory', { unit: 'MiB' }, size)];
  if (vm.maxMemoryMib <= vm.memoryMib) return memory;
  return [element('maxMemory', { slots: dimmSlots, unit: 'MiB' }, String(vm.maxMemoryMib)), ...memory];
}

export function vcpuElement(vm: VmSpec): Element {
  const current = vm.maxCpus > vm.cpus ? vm.cpus : undefined;
  return element('vcpu', { placement: 'static', current }, String(vm.maxCpus));
}

export function cpuElement(vm: VmSpec, virtualization: 'kvm' | 'emulation'): Element {
  // DIMMs need a NUMA node to be plugged into.
  const cpus = vm.maxCpus > 1 ? `0-${vm.maxCpus - 1}` : '0';
  const grows = vm.maxMemoryMib > vm.memoryMib;
  const numa = grows ? element('numa', {}, element('cell', { id: 0, cpus, memory: vm.memoryMib, unit: 'MiB' })) : null;
  if (vm.cpuModel === 'host' && virtualization === 'kvm')
    return element('cpu', { mode: 'host-passthrough', migratable: 'on' }, numa);
  if (vm.cpuModel === 'host' || vm.cpuModel === 'maximum') return element('cpu', { mode: 'maximum' }, numa);
  return element(
    'cpu',
    { mode: 'custom', match: 'exact' },
    element('model', { fallback: 'forbid' }, vm.cpuModel),
    numa,
  );
}

function devicesElement(domain: DomainSpec, options: XmlOptions): Element {
  const { vm } = domain;
  const functions = domain.nics.flatMap(functionElements);
  const deviceCount = domain.disks.length + domain.nics.length + functions.length;
  const rootPorts = Array.from({ length: deviceCount + spareRootPorts }, () =>
    element('controller', { type: 'pci', model: 'pcie-root-port' }),
  );
  return element(
    'devices',
    {},
    element('emulator', {}, options.emulator),
    element('controller', { type: 'pci', model: 'pcie-root' }),
    rootPorts,
    domain.seed || domain.disks.some((disk) => disk.spec.bus === 'scsi')
      ? element('controller', { type: 'scsi', index: 0, model: 'virtio-scsi' })
      : null,
    domain.disks.map((disk, index) => diskElement(disk, bootOrder(domain, 'disk', index))),
    domain.seed ? seedElement(domain.seed.path, bootOrder(domain, 'cdrom', 0)) : null,
    domain.nics.map((nic, index) => nicElement(nic, bootOrder(domain, 'network', index))),
    functions,
    element('serial', { type: 'pty' }, element('target', { port: 0 })),
    element('console', { type: 'pty' }, element('target', { type: 'serial', port: 0 })),
    element('channel', { type: 'unix' }, element('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' })),
    element('graphics', { type: 'vnc' }, element('listen', { type: 'socket' })),
    element('video', {}, element('model', { type: 'vga', vram: 16_384 })),
    element('memballoon', { model: 'virtio' }, element('stats', { period: 10 })),
    element('rng', { model: 'virtio' }, element('backend', { model: 'random' }, '/dev/urandom')),
    // The guest says that it panicked, and has a watchdog to arm. That one only reports: the manager decides what follows.
    element('panic', { model: 'isa' }),
    element('watchdog', { model: 'i6300esb', action: 'none' }),
    vm.firmware === 'bios'
      ? element('input', { type: 'tablet', bus: 'virtio' })
      : element('input', { type: 'tablet', bus: 'usb' }),
  );
}

/** libvirt numbers bootable devices from 1; the devices of one class follow each other in the class's place. */
function bootOrder(domain: DomainSpec, device: 'disk' | 'network' | 'cdrom', index: number): number | undefined {
  const counts = { disk: domain.disks.length, network: domain.nics.length, cdrom: domain.seed ? 1 : 0 };
  let before = 0;
  for (const wanted of domain.vm.bootOrder) {
    if (wanted === device) return before + index + 1;
    before += counts[wanted];
  }
  return undefined;
}

export function diskElement(disk: DomainDisk, order?: number): Element {
  const { spec, source } = disk;
  return element(
    'disk',
    { type: source.kind, device: 'disk' },
    element('driver', { name: 'qemu', type: source.format, cache: 'none', discard: 'unmap' }),
    element('source', { file: source.path }),
    element('target', { dev: spec.device, bus: spec.bus }),
    element('serial', {}, spec.volumeId.replaceAll('-', '').slice(0, 20)),
    spec.readOnly ? element('readonly') : null,
    order === undefined ? null : element('boot', { order }),
    element('alias', { name: diskAlias(spec.volumeId) }),
  );
}

/**
 * On virtio-scsi: the kernels of cloud images know virtio, but have no SATA. The address is given, for libvirt would make
 * further controllers, and of a model that needs drivers of its own, until its count reaches the name.
 */
function seedElement(path: string, order: number | undefined): Element {
  return element(
    'disk',
    { type: 'file', device: 'cdrom' },
    element('driver', { name: 'qemu', type: 'raw' }),
    element('source', { file: path }),
    element('target', { dev: 'sdz', bus: 'scsi' }),
    element('address', { type: 'drive', controller: 0, bus: 0, target: 255, unit: 0 }),
    element('readonly'),
    order === undefined ? null : element('boot', { order }),
    element('alias', { name: 'ua-seed' }),
  );
}

/** Each packet leaves the guest whole: its checksum computed, its size within the MTU. */
const noOffloads = element(
  'driver',
  {},
  element('host', { csum: 'off', gso: 'off', tso4: 'off', tso6: 'off', ecn: 'off', ufo: 'off' }),
  element('guest', { csum: 'off', tso4: 'off', tso6: 'off', ecn: 'off', ufo: 'off' }),
);

export function nicElement(nic: DomainNic, order?: number): Element {
  return element(
    'interface',
    { type: 'ethernet' },
    element('mac', { address: nic.spec.macAddress }),
    element('target', { dev: nic.device, managed: false }),
    element('model', { type: nic.spec.model }),
    nic.virtualFunction === undefined ? null : standsBy,
    nic.offload || nic.spec.model !== 'virtio' ? null : noOffloads,
    element('mtu', { size: nic.spec.mtu }),
    order === undefined ? null : element('boot', { order }),
    // The option ROM is only of use for network boot, and costs boot time otherwise.
    element('rom', { enabled: order !== undefined }),
    element('alias', { name: nicAlias(nic.spec.nicId) }),
  );
}

export function dimmElement(sizeMib: number): Element {
  return element(
    'memory',
    { model: 'dimm' },
    element('target', {}, element('size', { unit: 'MiB' }, String(sizeMib)), element('node', {}, '0')),
  );
}
