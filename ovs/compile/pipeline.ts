/**
 * The stages of the switch. A packet goes downwards only; what no flow takes is dropped.
 *
 * `metadata` is the network (L2 domain) that a packet is in. Registers: `reg0` next hop; `reg4` which part of a long replication
 * list; `reg6` number of the port it came from (0: from the tunnel, an uplink or a router); `reg7` number of the port it goes to;
 * `reg8` profile of the rules in question; `reg9` the router; `reg10` 1: it came from outside; `reg11` the group at the other
 * end, by the id of its conjunction.
 */
export const table = {
  classify: 0,
  tunnelled: 1,
  antiSpoof: 10,
  antiSpoofNd: 11,
  respond: 20,
  advertise: 21,
  trackOut: 30,
  allowOut: 31,
  tellApartOut: 32,
  openOut: 33,
  enterRouter: 35,
  route: 36,
  /** On the gateway host alone. */
  natOut: 37,
  natOutNew: 38,
  nextHop: 39,
  switchFromVm: 40,
  switchFromOutside: 41,
  replicate: 42,
  neighbour: 43,
  natIn: 44,
  natInNew: 45,
  trackIn: 50,
  allowIn: 51,
  tellApartIn: 52,
  openIn: 53,
  output: 60,
  leave: 61,
} as const;

export const register = {
  nextHop: 'reg0',
  part: 'reg4',
  from: 'reg6',
  to: 'reg7',
  profile: 'reg8',
  router: 'reg9',
  outside: 'reg10',
  remoteGroup: 'reg11',
} as const;

/** Where guests find metadata and DNS, on every network. */
export const serviceAddress = '169.254.169.254';

/**
 * Guests' addresses overlap, the services see one address for each: 100.64.0.0/10 holds the port's number in the lower 16
 * bits, and above it which of the port's IPv4 addresses it is.
 */
export function serviceClient(port: number, index: number): bigint {
  return (100n << 24n) | (64n << 16n) | (BigInt(index) << 16n) | BigInt(port);
}

/** Of a port's IPv4 addresses so many can reach the services. */
export const serviceAddressesOfPort = 64;

/** What `serviceClient` made; null: not a guest's address. */
export function portOfServiceClient(address: bigint): { readonly port: number; readonly index: number } | null {
  if (address >> 22n !== ((100n << 24n) | (64n << 16n)) >> 22n) return null;
  return { port: Number(address & 0xffffn), index: Number((address >> 16n) & 0x3fn) };
}
