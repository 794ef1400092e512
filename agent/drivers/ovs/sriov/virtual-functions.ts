/**
 * Hands virtual functions to NICs of VMs and takes them back. The device itself remembers whose each one is: a function with the
 * NIC's MAC address is that NIC's, one without an address is free. So nothing is lost when the agent restarts, and asking twice
 * gives the same one.
 *
 * What the hardware enforces for a function: its MAC and VLAN (the guest can change neither), no frames with another sender,
 * and a rate. Security groups it does not know.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { KeyedLock } from '../../../keyed-lock.ts';
import type { RunProgram } from '../../program.ts';
import { readPhysicalFunctions } from './physical-functions.ts';

export interface WantedFunction {
  readonly macAddress: string;
  /** Devices that will do: those of the uplink. */
  readonly nics: readonly string[];
  /** null: untagged. */
  readonly vlanId: number | null;
  /** null: as fast as the wire. */
  readonly maxSendMbps: number | null;
}

export interface HandedFunction {
  /** `0000:03:01.0` */
  readonly pciAddress: string;
}

interface Held {
  readonly index: number;
  readonly macAddress: string;
}

const nobody = '00:00:00:00:00:00';

export class VirtualFunctions {
  readonly #run: RunProgram;
  readonly #sysfs: string;
  readonly #lock = new KeyedLock();

  constructor(run: RunProgram, sysfs = '/sys') {
    this.#run = run;
    this.#sysfs = sysfs;
  }

  /** The one that it has already, or a free one, set up as wanted. @throws host-failed when none is free */
  hand(wanted: WantedFunction): Promise<HandedFunction> {
    return this.#lock.run('all', async () => {
      const candidates = await this.#candidates(wanted.nics);
      const mine = candidates.find(({ macAddress }) => macAddress === wanted.macAddress);
      const chosen = mine ?? candidates.find(({ macAddress }) => macAddress === nobody);
      if (chosen === undefined) {
        const reason = `0 of ${candidates.length} virtual functions free on ${wanted.nics.join(' and ') || 'no uplink'}`;
        throw new KvasirError('host-failed', { reason });
      }
      const settings = ['mac', wanted.macAddress, 'vlan', String(wanted.vlanId ?? 0)];
      await this.#set(chosen.nic, chosen.index, [
        ...settings,
        ...['max_tx_rate', String(wanted.maxSendMbps ?? 0)],
        ...['spoofchk', 'on', 'trust', 'off'],
      ]);
      return { pciAddress: chosen.pciAddress };
    });
  }

  /** Whatever device it is of; one that nobody has counts as taken back. */
  takeBack(macAddress: string): Promise<void> {
    return this.#lock.run('all', async () => {
      for (const each of await this.#candidates(null)) {
        if (each.macAddress !== macAddress) continue;
        await this.#set(each.nic, each.index, ['mac', nobody, 'vlan', '0', 'max_tx_rate', '0']);
      }
    });
  }

  async #candidates(nics: readonly string[] | null) {
    const devices = (await readPhysicalFunctions(this.#sysfs)).filter(
      ({ nic, virtualFunctions }) => virtualFunctions.length > 0 && nics?.includes(nic) !== false,
    );
    const lists = await Promise.all(
      devices.map(async ({ nic, virtualFunctions }) => {
        const held = new Map((await this.#held(nic)).map(({ index, macAddress }) => [index, macAddress]));
        return virtualFunctions.flatMap(({ index, pciAddress }) => {
          const macAddress = held.get(index);
          return macAddress === undefined ? [] : [{ nic, index, pciAddress, macAddress }];
        });
      }),
    );
    return lists.flat();
  }

  async #held(nic: string): Promise<Held[]> {
    const { stdout } = await this.#run('ip', ['-json', '-details', 'link', 'show', 'dev', nic]);
    const [link] = JSON.parse(stdout) as {
      readonly vfinfo_list?: readonly { vf: number; mac?: string; address?: string }[];
    }[];
    // Older versions of iproute2 call it `mac`.
    return (link?.vfinfo_list ?? []).map(({ vf, mac, address }) => ({
      index: vf,
      macAddress: address ?? mac ?? nobody,
    }));
  }

  async #set(nic: string, index: number, settings: readonly string[]): Promise<void> {
    await this.#run('ip', ['link', 'set', 'dev', nic, 'vf', String(index), ...settings]);
  }
}
