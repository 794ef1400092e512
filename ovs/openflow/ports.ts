/** The ports of a bridge as OpenFlow knows them: a number for each interface name. */
import { OpenFlowError } from './errors.ts';
import { type Message, messageType } from './message.ts';

const changes = ['added', 'removed', 'modified'] as const;
const portDown = 1;
const linkDown = 1;
const portHeadLength = 40;

export interface SwitchPort {
  /** OpenFlow number, as in `in_port` and `output`. */
  readonly number: number;
  /** Of the interface. */
  readonly name: string;
  /** Set down by an administrator. */
  readonly down: boolean;
  readonly linkUp: boolean;
}

export interface PortChange {
  readonly change: (typeof changes)[number];
  readonly port: SwitchPort;
}

/** One part of the answer. @throws OpenFlowError `malformed` */
export function decodePorts(body: Buffer): SwitchPort[] {
  const ports: SwitchPort[] = [];
  let at = 0;
  while (at < body.length) {
    const length = body.length - at < portHeadLength ? 0 : body.readUInt16BE(at + 4);
    if (length < portHeadLength || at + length > body.length) {
      throw new OpenFlowError('malformed', 'a list of ports is cut off');
    }
    ports.push(decodePort(body.subarray(at, at + length)));
    at += length;
  }
  return ports;
}

/** `null` for any other message. */
export function decodePortChange({ type, body }: Message): PortChange | null {
  if (type !== messageType.portStatus || body.length < 8 + portHeadLength) return null;
  const change = changes[body.readUInt8(0)];
  return change === undefined ? null : { change, port: decodePort(body.subarray(8)) };
}

function decodePort(bytes: Buffer): SwitchPort {
  const name = bytes.subarray(16, 32);
  const end = name.indexOf(0);
  return {
    number: bytes.readUInt32BE(0),
    name: name.toString('utf8', 0, end === -1 ? name.length : end),
    down: (bytes.readUInt32BE(32) & portDown) !== 0,
    linkUp: (bytes.readUInt32BE(36) & linkDown) === 0,
  };
}
