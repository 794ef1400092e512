/** The connections that the switch tracks, as `dpctl/dump-conntrack` lists them, and how to name one to forget it. */
import { sessionMark } from '@kvasir/ovs/compile/sessions.ts';

export interface Connection {
  /** IP protocol number. */
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  /** 0: the protocol has none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp: { readonly type: number; readonly code: number } | null;
  /** By whom it was opened, seen from the port whose zone it is in; null: that was not written down. */
  readonly opened: 'in' | 'out' | null;
  /** It was met in its middle: it may have been opened the other way. */
  readonly midway: boolean;
}

const protocols: Readonly<Record<string, number>> = {
  ...{ icmp: 1, igmp: 2, tcp: 6, udp: 17, dccp: 33, icmpv6: 58, sctp: 132, udplite: 136 },
};

/** Lines that are none are left out. */
export function parseConnections(dump: string): Connection[] {
  return dump.split('\n').flatMap((line) => {
    const [, name = '', original] = /^(\w+),orig=\(([^)]*)\)/.exec(line.trim()) ?? [];
    if (original === undefined) return [];
    const fields = Object.fromEntries(original.split(',').map((field) => field.split('=') as [string, string]));
    const protocol = protocols[name] ?? Number(name);
    if (!Number.isInteger(protocol) || fields.src === undefined || fields.dst === undefined) return [];
    const mark = Number(/,mark=(\w+)/.exec(line)?.[1] ?? 0);
    return [
      {
        protocol,
        source: fields.src,
        destination: fields.dst,
        sourcePort: Number(fields.sport ?? 0),
        destinationPort: Number(fields.dport ?? 0),
        icmp: fields.type === undefined ? null : { type: Number(fields.type), code: Number(fields.code ?? 0) },
        opened: mark & sessionMark.opened.in ? 'in' : mark & sessionMark.opened.out ? 'out' : null,
        midway: (mark & sessionMark.midway) !== 0,
      },
    ];
  });
}

/** null: it cannot be forgotten by itself. Asked for one of ICMPv6, Open vSwitch 3.1 falls over. */
export function tupleOf({ icmp, protocol, source, destination, ...ports }: Connection): string | null {
  if (icmp !== null) return null;
  const family = source.includes(':') ? 'ipv6' : 'nw';
  const ends = `ct_${family}_src=${source},ct_${family}_dst=${destination},ct_nw_proto=${protocol}`;
  return `${ends},ct_tp_src=${ports.sourcePort},ct_tp_dst=${ports.destinationPort}`;
}

/** As it is if the other end opened it. */
export function turned(connection: Connection): Connection {
  const { source, destination, sourcePort, destinationPort, opened } = connection;
  return {
    ...connection,
    source: destination,
    destination: source,
    sourcePort: destinationPort,
    destinationPort: sourcePort,
    opened: opened === null ? null : opened === 'in' ? 'out' : 'in',
  };
}
