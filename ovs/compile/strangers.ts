/**
 * Who has the address of a group's member and is none. Rules know members by their addresses alone, and networks may have the same
 * ones: a project's own and one that it shares with others. There an address of another project's port is no member's: groups have
 * members of one project.
 *
 * Known only where the slice tells whose ports are, which it does in shared networks that have names.
 */
import { type Address, parseAddress } from './addresses.ts';
import type { Port, Slice } from './slice.ts';

export class Strangers {
  readonly #slice: Pick<Slice, 'ports' | 'networks'>;
  /** Network -> address -> whose it is there. */
  readonly #owners = new Map<string, ReadonlyMap<string, readonly (string | undefined)[]>>();

  constructor(slice: Pick<Slice, 'ports' | 'networks'>) {
    this.#slice = slice;
  }

  /** Whether this address is of nobody in the port's network but of other projects. */
  has({ networkId, projectId }: Pick<Port, 'networkId' | 'projectId'>, address: Address): boolean {
    if (projectId === undefined) return false;
    const owners = this.#ownersIn(networkId).get(keyOf(address)) ?? [];
    return owners.length > 0 && owners.every((owner) => owner !== undefined && owner !== projectId);
  }

  #ownersIn(networkId: string): ReadonlyMap<string, readonly (string | undefined)[]> {
    const known = this.#owners.get(networkId);
    if (known !== undefined) return known;
    const remote = this.#slice.networks.find((network) => network.networkId === networkId)?.remotePorts ?? [];
    const here = this.#slice.ports.filter((port) => port.networkId === networkId);
    const found = new Map<string, (string | undefined)[]>();
    for (const { addresses, projectId } of [...here, ...remote]) {
      for (const address of addresses) {
        const key = keyOf(parseAddress(address));
        found.set(key, [...(found.get(key) ?? []), projectId]);
      }
    }
    this.#owners.set(networkId, found);
    return found;
  }
}

function keyOf({ family, value }: Address): string {
  return `${family} ${value}`;
}
