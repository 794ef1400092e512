/**
 * Disks, NICs, processors and memory of a domain that exists, hot where it runs. After each change the spec in the
 * domain's metadata is brought up to date, so that our own changes never show as drift.
 */
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { AffectFlags, DeviceFlags, VcpuFlags, XmlFlags } from '@kvasir/libvirt/domain-flags.ts';
import { isLibvirtError, LibvirtConnectionError } from '@kvasir/libvirt/error.ts';
import type { DomainDisk, DomainNic } from '../hypervisor.ts';
import { specOf } from './domain-read.ts';
import {
  cpuElement,
  dimmElement,
  diskAlias,
  diskElement,
  memoryElements,
  metadataElement,
  metadataNamespace,
  nicElement,
  vcpuElement,
} from './domain-xml.ts';
import { waitFor } from './domain-state.ts';
import { translating } from './errors.ts';
import { functionElements } from './failover-pair.ts';
import { functionAlias, nicAlias } from './nic-alias.ts';
import { type Element, find, findAll, readXml, writeXml } from './xml.ts';

/** Linux brings memory online in blocks of this size. */
const memoryBlockMib = 128;
const detachTimeoutMs = 60_000;
const askAgainMs = 5000;

type DeviceKind = 'disk' | 'interface' | 'hostdev';
type Size = Pick<VmSpec, 'cpus' | 'maxCpus' | 'memoryMib' | 'maxMemoryMib'>;

export class Devices {
  readonly #client: LibvirtClient;
  readonly #virtualization: () => 'kvm' | 'emulation';

  constructor(client: LibvirtClient, virtualization: () => 'kvm' | 'emulation') {
    this.#client = client;
    this.#virtualization = virtualization;
  }

  async attachDisk(vmId: string, disk: DomainDisk): Promise<void> {
    await this.#attach(vmId, 'disk', diskAlias(disk.spec.volumeId), writeXml(diskElement(disk)));
    await this.#changeSpec(vmId, (spec) => ({
      ...spec,
      disks: [...spec.disks.filter((other) => other.volumeId !== disk.spec.volumeId), disk.spec],
    }));
  }

  async detachDisk(vmId: string, volumeId: string, signal: AbortSignal): Promise<void> {
    await this.#detach(vmId, 'disk', diskAlias(volumeId), signal);
    await this.#changeSpec(vmId, (spec) => ({
      ...spec,
      disks: spec.disks.filter((disk) => disk.volumeId !== volumeId),
    }));
  }

  async attachNic(vmId: string, nic: DomainNic): Promise<void> {
    await this.#attach(vmId, 'interface', nicAlias(nic.spec.nicId), writeXml(nicElement(nic)));
    for (const pair of functionElements(nic))
      await this.#attach(vmId, 'hostdev', functionAlias(nic.spec.nicId), writeXml(pair));
    await this.#changeSpec(vmId, (spec) => ({
      ...spec,
      nics: [...spec.nics.filter((other) => other.nicId !== nic.spec.nicId), nic.spec],
    }));
  }

  async detachNic(vmId: string, nicId: string, signal: AbortSignal): Promise<void> {
    await this.#detach(vmId, 'hostdev', functionAlias(nicId), signal);
    await this.#detach(vmId, 'interface', nicAlias(nicId), signal);
    await this.#changeSpec(vmId, (spec) => ({ ...spec, nics: spec.nics.filter((nic) => nic.nicId !== nicId) }));
  }

  async resizeDisk(vmId: string, volumeId: string, sizeBytes: number): Promise<void> {
    await translating(vmId, async () => {
      const disk = findDevice(await this.#read(vmId, 'live'), 'disk', diskAlias(volumeId));
      const target = disk && find(disk, 'target')?.attributes.dev;
      if (target === undefined) throw new KvasirError('not-found', { kind: 'disk', id: volumeId });
      await this.#client.block.resize(vmId, target, sizeBytes);
    });
  }

  /** A running guest gets more processors and memory at once; anything else waits for the next start. */
  async resize(vmId: string, size: Size): Promise<{ live: boolean }> {
    return translating(vmId, async () => {
      const active = await this.#client.domain.isActive(vmId);
      const live = active ? await this.#resizeLive(vmId, size) : true;
      await this.#redefine(vmId, (spec) => ({ ...spec, ...size }));
      if (active && live) await this.#setSpec(vmId, 'live', (spec) => ({ ...spec, ...size }));
      return { live };
    });
  }

  async #resizeLive(vmId: string, size: Size): Promise<boolean> {
    const spec = specOf(await this.#read(vmId, 'live'));
    if (!spec) throw new KvasirError('host-failed', { reason: 'the domain does not carry our mark' });
    if (size.maxCpus !== spec.maxCpus || size.maxMemoryMib !== spec.maxMemoryMib) return false;
    const moreMib = size.memoryMib - spec.memoryMib;
    if (moreMib < 0 || moreMib % memoryBlockMib !== 0 || size.memoryMib > spec.maxMemoryMib) return false;
    try {
      // Memory first: it is refused more often (no slot is left), and what was given before that would stay.
      if (moreMib > 0) {
        await this.#client.device.attach(
          vmId,
          writeXml(dimmElement(moreMib)),
          DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_LIVE,
        );
      }
      if (size.cpus !== spec.cpus) await this.#client.device.setVcpus(vmId, size.cpus, VcpuFlags.VIR_DOMAIN_VCPU_LIVE);
      return true;
    } catch (error) {
      // The guest or this machine type cannot; the definition is changed all the same.
      if (isLibvirtError(error)) return false;
      throw error;
    }
  }

  async #attach(vmId: string, kind: DeviceKind, alias: string, xml: string): Promise<void> {
    await translating(vmId, async () => {
      for (const where of await this.#places(vmId)) {
        if (findDevice(await this.#read(vmId, where), kind, alias)) continue;
        await this.#client.device.attach(vmId, xml, deviceFlag(where));
      }
    });
  }

  async #detach(vmId: string, kind: DeviceKind, alias: string, signal: AbortSignal): Promise<void> {
    await translating(vmId, async () => {
      const defined = findDevice(await this.#read(vmId, 'config'), kind, alias);
      if (defined)
        await this.#client.device.detach(vmId, writeXml(defined), DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_CONFIG);
      const gone = async (): Promise<boolean> =>
        !(await this.#client.domain.isActive(vmId)) || !findDevice(await this.#read(vmId, 'live'), kind, alias);
      const deadline = performance.now() + detachTimeoutMs;
      while (!(await gone())) {
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) {
          throw new KvasirError('timeout', {
            what: 'The guest, asked to let go of the device,',
            timeoutMs: detachTimeoutMs,
          });
        }
        try {
          // A QEMU that hangs does not even take the question.
          const limit = { timeoutMs: leftMs };
          await this.#client.device.detachAlias(vmId, alias, DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_LIVE, limit);
        } catch (error) {
          if (error instanceof LibvirtConnectionError && error.code === 'TIMEOUT') continue;
          // Asked twice while the guest still thinks about it.
          if (!isLibvirtError(error, 'VIR_ERR_OPERATION_FAILED', 'VIR_ERR_INTERNAL_ERROR', 'VIR_ERR_DEVICE_MISSING'))
            throw error;
        }
        await waitFor(this.#client, vmId, gone, { timeoutMs: askAgainMs, signal });
      }
    });
  }

  /** Where a change goes: the definition always, and the running domain. */
  async #places(vmId: string): Promise<readonly ('live' | 'config')[]> {
    return (await this.#client.domain.isActive(vmId)) ? ['live', 'config'] : ['config'];
  }

  async #read(vmId: string, where: 'live' | 'config'): Promise<Element> {
    return readXml(await this.#client.domain.xml(vmId, where === 'config' ? XmlFlags.VIR_DOMAIN_XML_INACTIVE : 0));
  }

  async #changeSpec(vmId: string, change: (spec: VmSpec) => VmSpec): Promise<void> {
    await translating(vmId, async () => {
      for (const where of await this.#places(vmId)) await this.#setSpec(vmId, where, change);
    });
  }

  async #setSpec(vmId: string, where: 'live' | 'config', change: (spec: VmSpec) => VmSpec): Promise<void> {
    const spec = specOf(await this.#read(vmId, where));
    if (!spec) return;
    const flag = where === 'live' ? AffectFlags.VIR_DOMAIN_AFFECT_LIVE : AffectFlags.VIR_DOMAIN_AFFECT_CONFIG;
    const xml = writeXml(metadataElement(change(spec), 'vm'));
    await this.#client.domain.setMetadata(vmId, { uri: metadataNamespace, key: 'kvasir', xml }, flag);
  }

  /** Writes the definition anew with other sizes; DIMMs of the running guest become plain memory of the next start. */
  async #redefine(vmId: string, change: (spec: VmSpec) => VmSpec): Promise<void> {
    const domain = await this.#read(vmId, 'config');
    const old = specOf(domain);
    if (!old) throw new KvasirError('host-failed', { reason: 'the domain does not carry our mark' });
    const spec = change(old);
    const replaced = new Set(['memory', 'currentMemory', 'maxMemory', 'vcpu', 'cpu', 'metadata', 'devices']);
    const devices = find(domain, 'devices');
    const children = domain.children.filter((child) => typeof child === 'string' || !replaced.has(child.name));
    const withoutDimms: Element = {
      name: 'devices',
      attributes: {},
      children: (devices?.children ?? []).filter((child) => typeof child === 'string' || child.name !== 'memory'),
    };
    const metadata: Element = { name: 'metadata', attributes: {}, children: [metadataElement(spec)] };
    const xml = writeXml({
      ...domain,
      children: [
        ...children,
        metadata,
        ...memoryElements(spec),
        vcpuElement(spec),
        cpuElement(spec, this.#virtualization()),
        withoutDimms,
      ],
    });
    await this.#client.domain.define(xml);
  }
}

function deviceFlag(where: 'live' | 'config'): number {
  return where === 'live' ? DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_LIVE : DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_CONFIG;
}

function findDevice(domain: Element, kind: DeviceKind, alias: string): Element | undefined {
  return findAll(find(domain, 'devices'), kind).find((device) => find(device, 'alias')?.attributes.name === alias);
}
