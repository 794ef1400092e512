/**
 * Has the functions of a VM that moves rest and carry as its guest loses and gets them: at each moment one place has the address of
 * a NIC, the function or the standby NIC. The hypervisor says when, the network driver does it.
 *
 * What fails is logged: the VM goes on, by the standby NIC where it is the carrying that failed.
 */
import type { HostDrivers } from './drivers/drivers.ts';
import type { FunctionEvent } from './drivers/hypervisor.ts';
import type { VmSpecs } from './journal/vm-specs.ts';
import { KeyedLock } from './keyed-lock.ts';
import type { Log } from './log.ts';

export class FunctionSwitch {
  readonly #drivers: Pick<HostDrivers, 'network'>;
  readonly #specs: VmSpecs;
  readonly #log: Log;
  /** A VM's events in their order: the last one says how it stays. */
  readonly #turns = new KeyedLock();
  readonly #unwatch: () => void;

  constructor(drivers: Pick<HostDrivers, 'hypervisor' | 'network'>, specs: VmSpecs, log: Log) {
    this.#drivers = drivers;
    this.#specs = specs;
    this.#log = log;
    this.#unwatch = drivers.hypervisor.watchFunctions((event) => void this.#follow(event));
  }

  close(): void {
    this.#unwatch();
  }

  async #follow({ vmId, nicId, state }: FunctionEvent): Promise<void> {
    const nics = this.#specs.get(vmId)?.nics ?? [];
    const concerned = nics.filter((nic) => nic.direct === true && (nicId === null || nic.nicId === nicId));
    await this.#turns.run(vmId, async () => {
      for (const nic of concerned) {
        try {
          await this.#drivers.network.setFunction(nic.nicId, state);
        } catch (error) {
          this.#log(`the function of NIC ${nic.nicId} was to be one that ${state}`, error);
        }
      }
    });
  }
}
