/** The bytes that travel with a packet to the agent and say what is asked of it. */
export type Question =
  /** A DHCP message of the port with this number. */
  | { readonly asks: 'dhcp'; readonly port: number }
  /** A router solicitation of the port with this number. */
  | { readonly asks: 'router-advertisement'; readonly port: number }
  /** An IPv4 packet of the router with this number, whose next hop on the external network has no known MAC; it is lost. */
  | { readonly asks: 'neighbour'; readonly router: number }
  /** An ARP reply to the router with this number. */
  | { readonly asks: 'learn-neighbour'; readonly router: number };

const kinds = ['dhcp', 'router-advertisement', 'neighbour', 'learn-neighbour'] as const;
const magic = 0x4b;

export function encodeQuestion(question: Question): Uint8Array {
  const number = 'port' in question ? question.port : question.router;
  return Uint8Array.of(magic, kinds.indexOf(question.asks), number >> 8, number & 0xff);
}

/** null: not ours. */
export function decodeQuestion(userdata: Uint8Array): Question | null {
  const [first, kind = -1, high = 0, low = 0] = userdata;
  const asks = kinds[kind];
  if (userdata.length !== 4 || first !== magic || asks === undefined) return null;
  const number = (high << 8) | low;
  return asks === 'dhcp' || asks === 'router-advertisement' ? { asks, port: number } : { asks, router: number };
}
