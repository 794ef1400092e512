/** Devices, CPUs and memory of a domain. `flags`: DeviceFlags, VcpuFlags, MemoryFlags of domain-flags.ts. */
import type { Caller } from '../caller.ts';
import type { CallOptions } from '../connection.ts';
import { byUuid } from '../wire-types.ts';

export class DeviceOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async attach(uuid: string, xml: string, flags: number): Promise<void> {
    await this.#caller.call('domainAttachDeviceFlags', { domain: byUuid(uuid), xml, flags });
  }

  /** A running guest may take its time: the device is gone with the event `deviceRemoved`, not before. */
  async detach(uuid: string, xml: string, flags: number): Promise<void> {
    await this.#caller.call('domainDetachDeviceFlags', { domain: byUuid(uuid), xml, flags });
  }

  /** By the device's alias; only asks, and always answers before the device is gone. */
  async detachAlias(uuid: string, alias: string, flags: number, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('domainDetachDeviceAlias', { domain: byUuid(uuid), alias, flags }, options);
  }

  async update(uuid: string, xml: string, flags: number): Promise<void> {
    await this.#caller.call('domainUpdateDeviceFlags', { domain: byUuid(uuid), xml, flags });
  }

  async setVcpus(uuid: string, vcpus: number, flags: number): Promise<void> {
    await this.#caller.call('domainSetVcpusFlags', { domain: byUuid(uuid), vcpus, flags });
  }

  async vcpus(uuid: string, flags: number): Promise<number> {
    return (await this.#caller.call('domainGetVcpusFlags', { domain: byUuid(uuid), flags })).vcpus;
  }

  async setMemory(uuid: string, memoryKib: number, flags: number): Promise<void> {
    await this.#caller.call('domainSetMemoryFlags', { domain: byUuid(uuid), memoryKib, flags });
  }
}
