/**
 * Which connections of a port end when it may do less, and what is to be remembered of them so that they do not come back. Pure.
 *
 * A connection that was met in its middle may have been opened by either end. It ends when either of the two that it may be has been
 * taken away: in doubt it does.
 */
import { holdsCut } from '@kvasir/api/agent/merge-cuts.ts';
import type { NetworkSlice, SliceCut, SlicePort } from '@kvasir/api/agent/network-slice.ts';
import { parseAddress } from '@kvasir/ovs/compile/addresses.ts';
import { type Connection, turned } from './connections.ts';
import { Permissions } from './permissions.ts';

export interface Ended {
  readonly connections: readonly Connection[];
  /** Of TCP; nothing else can be told from a new connection. */
  readonly cuts: readonly SliceCut[];
}

const tcp = 6;

/** `before` and `now`: the port in the slice of before and of now. */
export function endedSessions(
  connections: readonly Connection[],
  before: { readonly slice: NetworkSlice; readonly port: SlicePort },
  now: { readonly slice: NetworkSlice; readonly port: SlicePort },
): Ended {
  const [old, present] = [new Permissions(before.slice), new Permissions(now.slice)];
  const own = new Set(before.port.addresses.map(canonical));
  const still = new Set(now.port.addresses.map(canonical));
  const { networkId, macAddress, connected } = now.port;
  const unplugged = networkId !== before.port.networkId || macAddress !== before.port.macAddress || !connected;
  const ended: Connection[] = [];
  const cuts: SliceCut[] = [];
  const end = (connection: Connection, ...opened: readonly Connection[]): void => {
    ended.push(connection);
    cuts.push(...opened.flatMap(cutOf));
  };
  const isCut = (connection: Connection): boolean =>
    cutOf(connection).some((cut) => holdsCut(now.port.cuts ?? [], cut));
  for (const given of connections) {
    const connection = withOpener(given, own);
    const other = turned(connection);
    const address = canonical(connection.opened === 'in' ? connection.destination : connection.source);
    const moved = own.has(address) && !still.has(address);
    const mayBe = connection.midway ? [connection, other] : [connection];
    const refused = mayBe.filter((reading) => !present.allow(now.port, reading));
    const lost = refused.filter((reading) => isCut(reading) || old.allow(before.port, reading));
    if (unplugged || moved || refused.length === mayBe.length) end(given, ...mayBe);
    else if (lost.length > 0) end(given, ...lost);
    else if (refused.includes(connection)) end(given);
  }
  return { connections: ended, cuts };
}

/** An agent of before did not write down who opened a connection: then it is whose address it is. */
function withOpener(connection: Connection, own: ReadonlySet<string>): Connection {
  if (connection.opened !== null) return connection;
  const [ours, theirs] = [own.has(canonical(connection.source)), own.has(canonical(connection.destination))];
  if (ours === theirs) return connection;
  return { ...connection, opened: ours ? 'out' : 'in' };
}

function cutOf({ protocol, opened, source, destination, destinationPort: port }: Connection): SliceCut[] {
  if (protocol !== tcp || opened === null) return [];
  const [address, remote] = opened === 'in' ? [destination, source] : [source, destination];
  return [{ opened, address, port, remote }];
}

function canonical(address: string): string {
  const { family, value } = parseAddress(address);
  return `${family} ${value}`;
}
