/**
 * Hands virtual functions to NICs of VMs and takes them back. The device itself remembers whose each one is: a function with the
 * NIC's MAC address is that NIC's. So nothing is lost when the agent restarts, and asking twice gives the same one. Free is one
 * without an address, and one with an address that no NIC here has, unless a VM or the host uses it: the host's own driver for
 * functions gives those that nobody has an address by chance (igbvf when it is bound, and when the device is set up), and the
 * device shows it as it shows one that we set.
 *
 * A device gives frames for a function's address to the function also when nobody drives it. So while the guest has let go of one,
 * or is yet to get it, it rests: it is the NIC's still, but under an address that nobody sends to and that is made from the NIC's,
 * and the frames take the way of the NIC that stands by.
 *
 * What the hardware enforces for a function: its MAC and VLAN (the guest can change neither), no frames with another sender,
 * and a rate. Security groups it does not know.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KvasirError } from '@kvasir/api/errors.ts';
import { KeyedLock } from '../../../keyed-lock.ts';
import type { FunctionState } from '../../network.ts';
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
  /** As the device shows it. */
  readonly macAddress: string;
}

const nobody = '00:00:00:00:00:00';
/** IFF_UP in netdevice(7). */
const interfaceIsUp = 0x1;
const unset = ['mac', nobody, 'vlan', '0', 'max_tx_rate', '0'];

interface Candidate extends Held {
  readonly nic: string;
  readonly pciAddress: string;
  readonly driver: string | null;
}

export class VirtualFunctions {
  readonly #run: RunProgram;
  readonly #plugged: () => Iterable<string>;
  readonly #sysfs: string;
  readonly #lock = new KeyedLock();

  /** @param plugged the addresses of NICs on this host; one that asks for a function has to be among them before. */
  constructor(run: RunProgram, plugged: () => Iterable<string>, sysfs = '/sys') {
    this.#run = run;
    this.#plugged = plugged;
    this.#sysfs = sysfs;
  }

  /**
   * The one that it has already, or a free one, set up as wanted.
   * @param state left out: one that rests goes on resting, any other one carries
   * @throws host-failed when none is free, or when the device refuses: a free one is free again then
   */
  hand(wanted: WantedFunction, state?: FunctionState): Promise<HandedFunction> {
    return this.#lock.run('all', async () => {
      const candidates = await this.#candidates(wanted.nics);
      const mine = candidates.find((each) => stateFor(each, wanted.macAddress) !== null);
      const chosen = mine ?? (await this.#firstFree(candidates));
      if (chosen === undefined) {
        const reason = `0 of ${candidates.length} virtual functions free on ${wanted.nics.join(' and ') || 'no uplink'}`;
        throw new KvasirError('host-failed', { reason });
      }
      const rate = await this.#possibleRate(chosen.nic, wanted.maxSendMbps);
      const inState = state ?? (mine && stateFor(mine, wanted.macAddress)) ?? 'carries';
      const address = addressIn(inState, wanted.macAddress);
      const settings = ['mac', address, 'vlan', String(wanted.vlanId ?? 0), 'max_tx_rate', String(rate)];
      try {
        await this.#set(chosen, [...settings, 'spoofchk', 'on', 'trust', 'off']);
      } catch (error) {
        // The kernel goes through the settings in its own order and keeps those before the one that it refuses.
        if (mine === undefined) await this.#set(chosen, unset).catch(() => undefined);
        throw error;
      }
      return { pciAddress: chosen.pciAddress };
    });
  }

  /** Nothing for a NIC without a function. */
  setState(macAddress: string, state: FunctionState): Promise<void> {
    return this.#lock.run('all', async () => {
      for (const each of await this.#candidates(null)) {
        const now = stateFor(each, macAddress);
        if (now === null || now === state) continue;
        await this.#set(each, ['mac', addressIn(state, macAddress)]);
      }
    });
  }

  /** Whatever device it is of; one that nobody has counts as taken back. */
  takeBack(macAddress: string): Promise<void> {
    return this.#lock.run('all', async () => {
      for (const each of await this.#candidates(null)) {
        if (stateFor(each, macAddress) !== null) await this.#set(each, unset);
      }
    });
  }

  async #firstFree(candidates: readonly Candidate[]): Promise<Candidate | undefined> {
    const plugged = new Set([...this.#plugged()].flatMap((mac) => [mac, addressIn('rests', mac)]));
    for (const each of candidates) {
      if (each.macAddress === nobody) return each;
      if (plugged.has(each.macAddress) || each.driver?.includes('vfio') === true) continue;
      if (!(await this.#isUpOnHost(each))) return each;
    }
    return undefined;
  }

  async #isUpOnHost({ nic, index }: Candidate): Promise<boolean> {
    const devices = join(this.#sysfs, 'class/net', nic, 'device', `virtfn${index}`, 'net');
    const names = await readdir(devices).catch(() => []);
    const flags = await Promise.all(
      names.map((name) => readFile(join(devices, name, 'flags'), 'utf8').catch(() => '0')),
    );
    return flags.some((each) => (Number(each) & interfaceIsUp) !== 0);
  }

  /** Devices refuse a rate above that of the wire, and 0 is none. */
  async #possibleRate(nic: string, maxSendMbps: number | null): Promise<number> {
    if (maxSendMbps === null) return 0;
    // There is no speed to read while the link is down.
    const wire = Number(await readFile(join(this.#sysfs, 'class/net', nic, 'speed'), 'utf8').catch(() => '-1'));
    return wire > 0 && maxSendMbps >= wire ? 0 : maxSendMbps;
  }

  async #candidates(nics: readonly string[] | null): Promise<Candidate[]> {
    const devices = (await readPhysicalFunctions(this.#sysfs)).filter(
      ({ nic, virtualFunctions }) => virtualFunctions.length > 0 && nics?.includes(nic) !== false,
    );
    const lists = await Promise.all(
      devices.map(async ({ nic, virtualFunctions }) => {
        const held = new Map((await this.#held(nic)).map(({ index, macAddress }) => [index, macAddress]));
        return virtualFunctions.flatMap((each) => {
          const macAddress = held.get(each.index);
          return macAddress === undefined ? [] : [{ ...each, nic, macAddress }];
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

  async #set({ nic, index }: Candidate, settings: readonly string[]): Promise<void> {
    await this.#run('ip', ['link', 'set', 'dev', nic, 'vf', String(index), ...settings]);
  }
}

function addressIn(state: FunctionState, macAddress: string): string {
  if (state === 'carries') return macAddress;
  // Locally administered, and another one also where an operator chose such an address.
  return `${macAddress.startsWith('f2') ? 'f6' : 'f2'}${macAddress.slice(2)}`;
}

/** null: it is not that NIC's. */
function stateFor({ macAddress }: Held, ofNic: string): FunctionState | null {
  return (['carries', 'rests'] as const).find((state) => addressIn(state, ofNic) === macAddress) ?? null;
}
