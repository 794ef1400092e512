/**
 * Several messages as one: either all of them take effect at the same moment or none does. A packet sees the flows from
 * before or those from after.
 *
 * The switch checks a message when it is added, and again all together at the commit. When it refuses one at first it
 * would commit the rest all the same, so nothing is committed before the closing of the bundle, which is answered after
 * all refusals, has come back clean.
 */
import type { OpenFlowConnection } from './connection.ts';
import { decodeRefusal, OpenFlowError } from './errors.ts';
import { encodeMessage, messageType } from './message.ts';

const control = { open: 0, close: 2, commit: 4, discard: 6 } as const;
const atomicAndOrdered = 3;

/** `describe` is asked only when the switch refuses the message. */
export interface BundledMessage {
  readonly type: number;
  readonly body: Buffer;
  readonly describe: () => string;
}

/** @throws OpenFlowError `refused` with what was refused; nothing has changed then */
export async function commitBundle(connection: OpenFlowConnection, messages: readonly BundledMessage[]): Promise<void> {
  const bundleId = connection.nextXid();
  const sent = new Map<number, BundledMessage>();
  let refusal: OpenFlowError | null = null;
  const unwatch = connection.watchRefusals((xid, body) => {
    const message = sent.get(xid);
    if (message !== undefined) refusal ??= describeRefusal(message, body);
  });
  const ask = (type: number, what: string) =>
    connection.request(messageType.bundleControl, encodeControl(bundleId, type), what);
  try {
    await ask(control.open, 'the opening of a bundle');
    connection.write(Buffer.concat(messages.map((message) => encodeAdd(connection, bundleId, message, sent))));
    await ask(control.close, 'the closing of a bundle');
    if (refusal === null) await ask(control.commit, 'a bundle');
    else await ask(control.discard, 'the discarding of a bundle');
  } catch (error) {
    // The refusal of the one message says more than the refusal of the whole.
    throw refusal ?? error;
  } finally {
    unwatch();
  }
  if (refusal !== null) throw refusal as OpenFlowError;
}

function encodeAdd(
  connection: OpenFlowConnection,
  bundleId: number,
  message: BundledMessage,
  sent: Map<number, BundledMessage>,
): Buffer {
  const xid = connection.nextXid();
  sent.set(xid, message);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(bundleId, 0);
  head.writeUInt16BE(atomicAndOrdered, 6);
  return encodeMessage(
    messageType.bundleAdd,
    xid,
    Buffer.concat([head, encodeMessage(message.type, xid, message.body)]),
  );
}

function encodeControl(bundleId: number, type: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt32BE(bundleId, 0);
  out.writeUInt16BE(type, 4);
  out.writeUInt16BE(atomicAndOrdered, 6);
  return out;
}

function describeRefusal(message: BundledMessage, body: Buffer): OpenFlowError {
  const refusal = decodeRefusal(body);
  const text = `the switch refuses ${message.describe()}: ${refusal.symbol}`;
  return new OpenFlowError('refused', text, refusal);
}
