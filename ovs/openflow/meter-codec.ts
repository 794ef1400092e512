/** Meters on the wire: a rate in kbit/s and a burst in kbit, above which packets are dropped. */
import type { Meter } from '../flow.ts';
import { checkNumber } from './action-frame.ts';
import { OpenFlowError } from './errors.ts';

const command = { add: 0, modify: 1, delete: 2 } as const;
const kbpsAndBurst = 0x0005;
const dropBand = 1;
const allMeters = 0xffffffff;
const headLength = 8;
const bandLength = 16;
const highestMeter = 0xffff0000;

/** As the switch lists it. `meter` null: of another kind than ours, to be replaced. */
export interface InstalledMeter {
  readonly meterId: number;
  readonly meter: Meter | null;
}

/** @throws FlowEncodingError */
export function encodeMeterAdd(meter: Meter): Buffer {
  return encodeMeterMod(command.add, meter);
}

/** @throws FlowEncodingError */
export function encodeMeterModify(meter: Meter): Buffer {
  return encodeMeterMod(command.modify, meter);
}

/** The switch deletes the flows that use it as well. */
export function encodeMeterDelete(meterId: number): Buffer {
  const out = Buffer.alloc(headLength);
  out.writeUInt16BE(command.delete, 0);
  out.writeUInt16BE(kbpsAndBurst, 2);
  out.writeUInt32BE(meterId, 4);
  return out;
}

/** Body of a request for all meters. */
export function encodeMeterRequest(): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt32BE(allMeters, 0);
  return out;
}

/** One part of the answer. @throws OpenFlowError `malformed` */
export function decodeMeters(body: Buffer): InstalledMeter[] {
  const meters: InstalledMeter[] = [];
  let at = 0;
  while (at < body.length) {
    const length = body.length - at < headLength ? 0 : body.readUInt16BE(at);
    if (length < headLength || at + length > body.length) {
      throw new OpenFlowError('malformed', 'a list of meters is cut off');
    }
    meters.push(decodeMeter(body.subarray(at, at + length)));
    at += length;
  }
  return meters;
}

function decodeMeter(bytes: Buffer): InstalledMeter {
  const meterId = bytes.readUInt32BE(4);
  const ours =
    bytes.readUInt16BE(2) === kbpsAndBurst &&
    bytes.length === headLength + bandLength &&
    bytes.readUInt16BE(headLength) === dropBand;
  if (!ours) return { meterId, meter: null };
  return { meterId, meter: { meterId, rateKbps: bytes.readUInt32BE(12), burstKb: bytes.readUInt32BE(16) } };
}

function encodeMeterMod(modCommand: number, { meterId, rateKbps, burstKb }: Meter): Buffer {
  const out = Buffer.alloc(headLength + bandLength);
  out.writeUInt16BE(modCommand, 0);
  out.writeUInt16BE(kbpsAndBurst, 2);
  out.writeUInt32BE(checkNumber(meterId, 1, highestMeter, 'a meter'), 4);
  out.writeUInt16BE(dropBand, 8);
  out.writeUInt16BE(bandLength, 10);
  out.writeUInt32BE(checkNumber(rateKbps, 1, 0xffffffff, 'the rate of a meter'), 12);
  out.writeUInt32BE(checkNumber(burstKb, 0, 0xffffffff, 'the burst of a meter'), 16);
  return out;
}
