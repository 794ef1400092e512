/**
 * How connections are written down (tables 33 and 53), and which do not come back.
 *
 * A TCP connection that is met in its middle is taken for a new one of whoever sends, or none would outlive a move to a host
 * that has never seen it. So its entry says that it may be the wrong way round, and what was cut (`Port.cuts`) is refused its
 * middle: only a packet that opens a connection (SYN) gets past, and the rules decide about that.
 */
import type { Action } from '../flow.ts';
import { parseAddress } from './addresses.ts';
import { resubmit, zoneIn } from './actions.ts';
import { cookieOf } from './cookies.ts';
import type { FlowSet } from './flow-set.ts';
import { destination, ip, midway, protocol, source, tracked } from './matches.ts';
import type { LocalPort } from './model.ts';
import type { Cut, Rule } from './slice.ts';

/** What `ct_mark` says of a connection in a port's zone; 0: nothing is known of it. */
export const sessionMark = { opened: { out: 1, in: 2 }, midway: 4 } as const;

export interface SessionStage {
  readonly rules: Rule['direction'];
  readonly allow: number;
  readonly open: number;
  readonly next: number;
  readonly port: 'reg6' | 'reg7';
  readonly denied: 'denied-out' | 'denied-in';
}

/** Writes down what a rule let through. */
export function openSessions({ rules, open, next, port }: SessionStage, flows: FlowSet): void {
  const commit = (mark: number): Action[] => [
    { do: 'ct', commit: true, zone: zoneIn(port), exec: [{ do: 'set', to: 'ct_mark', value: BigInt(mark) }] },
    resubmit(next),
  ];
  const mark = sessionMark.opened[rules];
  for (const family of [ip.ipv4, ip.ipv6]) {
    const tcp = { ...family, ip_proto: protocol.tcp, ...midway };
    flows.add(cookieOf('pipeline'), open, 110, tcp, commit(mark | sessionMark.midway));
    flows.add(cookieOf('pipeline'), open, 100, family, commit(mark));
  }
}

/** What belongs to a cut session goes against the direction in which it was opened. */
export function refuseCut({ port: { cuts = [] }, key, number }: LocalPort, stage: SessionStage, flows: FlowSet): void {
  for (const cut of cuts) {
    if (cut.opened === stage.rules) continue;
    const fields = { [stage.port]: number, ...tracked('new'), ...answers(cut), ...midway };
    flows.add(cookieOf(stage.denied, key), stage.allow, 250, fields, []);
  }
}

function answers({ opened, address, port, remote }: Cut) {
  const own = parseAddress(address);
  const [ours, theirs] = opened === 'in' ? [source, destination] : [destination, source];
  return {
    ...ip[own.family],
    ip_proto: protocol.tcp,
    [ours[own.family]]: own.value,
    [theirs[own.family]]: remote === null ? undefined : parseAddress(remote).value,
    tcp_src: port ?? undefined,
  };
}
